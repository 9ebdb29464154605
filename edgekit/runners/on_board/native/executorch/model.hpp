// The engine for ExecuTorch: a loaded method, its memory, its tensors, set-input and execute, and its profile. Owns every call into the runtime.
//
// The runtime's shared libraries are built with libstdc++, this program may be built with libc++. So no std:: object is passed, moved, destroyed or
// read across that border: results stay where the library constructed them (no move of Program, which holds std::variant), names of tensors
// (std::string_view) are not asked for, and nothing that came from the library is destroyed before the process ends.
#pragma once

#include <executorch/extension/data_loader/mmap_data_loader.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/core/event_tracer.h>
#include <executorch/runtime/executor/memory_manager.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../core/failure.hpp"
#include "../core/operators.hpp"
#include "../core/options.hpp"
#include "../core/tensors.hpp"
#include "tracer.hpp"

#ifndef EDGEKIT_EXECUTORCH_VERSION
#error "define EDGEKIT_EXECUTORCH_VERSION as the version of the wheel this is built against"
#endif

// The wheel exports these but ships no header for them (executorch 1.5.1, extension/threadpool/threadpool.h).
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  bool _unsafe_reset_threadpool(uint32_t threads);
  size_t get_thread_count() const;
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace edgekit {

namespace et = executorch::runtime;
namespace etensor = executorch::aten;

// The last error that the runtime logged; its numeric codes alone say little.
inline char last_log[512] = "";

inline void keep_log(et_timestamp_t, et_pal_log_level_t level, const char* file, const char*, size_t line, const char* message, size_t) {
  if (level != et_pal_log_level_t::kError && level != et_pal_log_level_t::kFatal) return;
  std::fprintf(stderr, "%s:%zu %s\n", file, line, message);
  std::snprintf(last_log, sizeof last_log, "%s", message);
}

inline std::string describe(et::Error error) {
  std::string text = et::to_string(error);
  return last_log[0] ? text + ": " + last_log : text;
}

inline void check(et::Error error, Exit code, const char* what) {
  if (error != et::Error::Ok) throw Failure(code, std::string(what) + ": " + describe(error));
}

// Memory of any size for the runtime, given back by reset().
class HeapAllocator final : public et::MemoryAllocator {
 public:
  HeapAllocator() : et::MemoryAllocator(0, nullptr) {}
  void* allocate(size_t size, size_t alignment) override {
    void* at = nullptr;
    if (posix_memalign(&at, std::max(alignment, sizeof(void*)), size) != 0) return nullptr;
    blocks_.emplace_back(at);
    return at;
  }
  void reset() override { blocks_.clear(); }

 private:
  struct Free {
    void operator()(void* at) const { std::free(at); }
  };
  std::vector<std::unique_ptr<void, Free>> blocks_;
};

struct Dtype {
  etensor::ScalarType type;
  const char* name;
};

inline const char* dtype_name(etensor::ScalarType type) {
  using T = etensor::ScalarType;
  static constexpr Dtype known[] = {{T::Float, "float32"}, {T::Half, "float16"}, {T::Char, "int8"}, {T::Byte, "uint8"}, {T::Short, "int16"},
                                    {T::Int, "int32"},     {T::Long, "int64"},   {T::Bool, "bool"}};
  for (const Dtype& dtype : known)
    if (dtype.type == type) return dtype.name;
  const std::string number = std::to_string(static_cast<int>(type));
  throw Failure(Exit::load, "the model has an input or output of ScalarType " + number + ", which edgekit does not know");
}

// Another shape for an input, at most as large as the one that it has.
inline void resize(Slot& slot, const Shape& shape) {
  if (shape.size() != slot.shape.size()) throw Failure(Exit::load, "--shapes: " + slot.name + " has another number of dimensions");
  int64_t most = 1, elements = 1;
  for (const int64_t size : slot.shape) most *= size;
  for (const int64_t size : shape) {
    if (size > most / elements) throw Failure(Exit::load, "--shapes: the model was planned for a smaller " + slot.name);
    elements *= size;
  }
  slot.bytes = slot.bytes / static_cast<size_t>(most) * static_cast<size_t>(elements);
  slot.shape = shape;
}

class Model {
 public:
  static constexpr const char* kRuntime = "executorch";
  static constexpr const char* kVersion = EDGEKIT_EXECUTORCH_VERSION;

  // Before the memory of the empty runner is read: what the runtime needs without any model.
  static void start_runtime(int64_t threads) {
    et::register_pal(et::PalImpl::create(keep_log, __FILE__));
    et::runtime_init();
    auto* pool = executorch::extension::threadpool::get_threadpool();
    if (!pool || !pool->_unsafe_reset_threadpool(static_cast<uint32_t>(threads)) || pool->get_thread_count() != static_cast<size_t>(threads))
      throw Failure(Exit::load, "cannot run with " + std::to_string(threads) + " threads on this processor");
  }

  explicit Model(const Options& o) : tracer_(o.mode == Mode::profile ? std::make_unique<Tracer>() : nullptr) {
    using executorch::extension::MmapDataLoader;
    const std::string method_name = o.signature.empty() ? "forward" : o.signature;
    auto* loader = new et::Result<MmapDataLoader>(MmapDataLoader::from(absolute(o.model).c_str(), MmapDataLoader::MlockConfig::NoMlock));
    check(loader->error(), Exit::load, "cannot open the model");
    auto* program = new et::Result<et::Program>(et::Program::load(&loader->get()));
    check(program->error(), Exit::load, "not an ExecuTorch program of this version");
    auto* meta = new et::Result<et::MethodMeta>((*program)->method_meta(method_name.c_str()));
    check(meta->error(), Exit::load, ("the program has no method '" + method_name + "'").c_str());
    require_backends(**meta);
    plan(**meta);
    auto* method = new et::Result<et::Method>((*program)->load_method(method_name.c_str(), memory_, tracer_.get()));
    check(method->error(), Exit::load, ("cannot load the method '" + method_name + "'").c_str());
    method_ = &method->get();
    for (size_t i = 0; i < (*meta)->num_inputs(); ++i) add_input(i, (*meta)->input_tag(i), (*meta)->input_tensor_meta(i), o.shapes);
    if (!o.shapes.empty() && o.shapes.rbegin()->first >= inputs_.size()) throw Failure(Exit::load, "--shapes: the model has fewer inputs");
    for (size_t i = 0; i < (*meta)->num_outputs(); ++i) add_output(i, (*meta)->output_tag(i), (*meta)->output_tensor_meta(i));
  }

  const std::vector<Slot>& inputs() const { return inputs_; }
  const std::vector<Slot>& outputs() const { return outputs_; }
  size_t sample_bytes() const { return sample_bytes_; }
  std::optional<int64_t> arena_bytes() const { return arena_bytes_; }

  // One inference, which is what is timed: hand over the inputs (`sample_bytes()` bytes), execute.
  void run(uint8_t* sample) {
    for (size_t i = 0; i < tensors_.size(); ++i) {
      tensors_[i]->set_data(sample);
      check(method_->set_input(et::EValue(etensor::Tensor(tensors_[i].get())), i), Exit::execution, "cannot set an input");
      sample += inputs_[i].bytes;
    }
    check(method_->execute(), Exit::execution, "inference failed");
  }

  Bytes output(size_t i) const {
    const etensor::Tensor& tensor = method_->get_output(i).toTensor();
    return {static_cast<const uint8_t*>(tensor.const_data_ptr()), tensor.nbytes()};
  }

  // Around the inferences of a profile: what is heard from now on, of each, and of all of them.
  void start_profile() { *tracer_ = Tracer(); }
  void begin_profiled() { tracer_->operators.begin_inference(); }
  void end_profiled() {}
  const std::vector<Operator>& operators() const { return tracer_->operators.all(); }

 private:
  static std::string absolute(const std::string& path) {  // the loader fails on relative paths
    char resolved[PATH_MAX];
    return realpath(path.c_str(), resolved) ? resolved : path;
  }

  static std::string registered_backends() {
    std::string list;
    for (size_t i = 0; i < et::get_num_registered_backends(); ++i) {
      const auto name = et::get_backend_name(i);
      if (name.ok()) list += (list.empty() ? "" : ", ") + std::string(*name);
    }
    return list.empty() ? "none" : list;
  }

  static void require_backends(const et::MethodMeta& meta) {
    for (size_t i = 0; i < meta.num_backends(); ++i) {
      const auto name = meta.get_backend_name(i);
      check(name.error(), Exit::load, "cannot read the model's backends");
      const et::BackendInterface* backend = et::get_backend_class(*name);
      if (!backend) throw Failure(Exit::load, std::string("the model needs backend ") + *name + "; this runner has: " + registered_backends());
      if (!backend->is_available()) throw Failure(Exit::load, std::string("backend ") + *name + " does not work on this machine");
    }
  }

  void plan(const et::MethodMeta& meta) {
    auto* spans = new std::vector<et::Span<uint8_t>>;
    for (size_t i = 0; i < meta.num_memory_planned_buffers(); ++i) {
      const auto bytes = meta.memory_planned_buffer_size(i);
      check(bytes.error(), Exit::load, "cannot read the model's memory plan");
      const Block block = pages(static_cast<size_t>(*bytes));
      spans->push_back({block.data, block.size});
      arena_bytes_ += *bytes;
    }
    auto* arena = new et::HierarchicalAllocator({spans->data(), spans->size()});
    memory_ = new et::MemoryManager(new HeapAllocator, arena, new HeapAllocator);
  }

  static Slot slot(const char* kind, size_t i, const et::Result<et::Tag>& tag, const et::Result<et::TensorInfo>& info) {
    const std::string name = kind + std::to_string(i);
    if (!tag.ok() || *tag != et::Tag::Tensor) throw Failure(Exit::load, name + " is not a tensor");
    check(info.error(), Exit::load, "cannot read the model's tensors");
    const auto order = info->dim_order();
    for (size_t k = 0; k < order.size(); ++k)
      if (order[k] != k) throw Failure(Exit::load, name + " is not laid out row-major; export the model with contiguous inputs and outputs");
    return {name, dtype_name(info->scalar_type()), {info->sizes().begin(), info->sizes().end()}, info->nbytes(), std::nullopt};
  }

  void add_input(size_t i, const et::Result<et::Tag>& tag, const et::Result<et::TensorInfo>& info, const std::map<size_t, Shape>& shapes) {
    inputs_.push_back(slot("input", i, tag, info));
    const auto chosen = shapes.find(i);
    if (chosen != shapes.end()) resize(inputs_.back(), chosen->second);
    const Shape& shape = inputs_.back().shape;
    auto& layout = *layouts_.emplace_back(std::make_unique<Layout>());
    int32_t stride = 1;
    for (size_t k = shape.size(); k-- > 0; stride *= layout.sizes[k]) {
      if (shape.size() > layout.sizes.size()) throw Failure(Exit::load, "input" + std::to_string(i) + " has too many dimensions");
      layout.sizes[k] = static_cast<int32_t>(shape[k]);
      layout.strides[k] = stride;
      layout.order[k] = static_cast<uint8_t>(k);
    }
    tensors_.push_back(std::make_unique<etensor::TensorImpl>(info->scalar_type(), static_cast<ssize_t>(shape.size()), layout.sizes.data(), nullptr,
                                                             layout.order.data(), layout.strides.data()));
    sample_bytes_ += inputs_.back().bytes;
  }

  void add_output(size_t i, const et::Result<et::Tag>& tag, const et::Result<et::TensorInfo>& info) {
    outputs_.push_back(slot("output", i, tag, info));
    if (info->is_memory_planned()) return;
    const Block buffer = pages(outputs_.back().bytes);
    check(method_->set_output_data_ptr(buffer.data, buffer.size, i), Exit::load, "cannot place an output");
  }

  struct Layout {
    std::array<int32_t, 16> sizes, strides;
    std::array<uint8_t, 16> order;
  };

  std::unique_ptr<Tracer> tracer_;
  et::MemoryManager* memory_ = nullptr;
  et::Method* method_ = nullptr;
  std::vector<Slot> inputs_, outputs_;
  std::vector<std::unique_ptr<Layout>> layouts_;
  std::vector<std::unique_ptr<etensor::TensorImpl>> tensors_;
  size_t sample_bytes_ = 0;
  int64_t arena_bytes_ = 0;
};

}  // namespace edgekit

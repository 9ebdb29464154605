// The engine for LiteRT: a compiled model, its buffers, one inference, and its profile. Owns every call into the runtime.
//
// Only C passes the border to the library. Nothing that came from it is destroyed before the process ends.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../core/failure.hpp"
#include "../core/operators.hpp"
#include "../core/options.hpp"
#include "../core/tensors.hpp"
#include "graph.hpp"
#include "interface.hpp"
#include "profiler.hpp"
#include "standard_error.hpp"
#include "status.hpp"

#ifndef EDGEKIT_LITERT_VERSION
#error "define EDGEKIT_LITERT_VERSION as the version of the wheel this is built against"
#endif

namespace edgekit {

class Model {
 public:
  static constexpr const char* kRuntime = "litert";
  static constexpr const char* kVersion = EDGEKIT_LITERT_VERSION;

  static void start_runtime(int64_t) {}  // it starts its threads with a model

  explicit Model(const Options& o) {
    const StandardError heard;
    try {
      load(o);
    } catch (const Failure& failure) {
      const std::string reasons = heard.errors();
      throw Failure(failure.code, failure.what() + (reasons.empty() ? "" : ": " + reasons));
    }
  }

  const std::vector<Slot>& inputs() const { return inputs_; }
  const std::vector<Slot>& outputs() const { return outputs_; }
  size_t sample_bytes() const { return sample_bytes_; }
  std::optional<int64_t> arena_bytes() const { return std::nullopt; }  // it does not tell

  // One inference, which is what is timed: hand over the inputs (`sample_bytes()` bytes), execute.
  void run(const uint8_t* sample) {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      std::memcpy(lock(in_slots_[i], kWrite), sample, inputs_[i].bytes);
      LiteRtUnlockTensorBuffer(in_slots_[i]);
      sample += inputs_[i].bytes;
    }
    check(LiteRtRunCompiledModel(compiled_, graph_.signature, in_.size(), in_.data(), out_.size(), out_.data()), Exit::execution, "inference failed");
  }

  Bytes output(size_t i) const {
    const void* data = lock(out_slots_[i], kRead);
    LiteRtUnlockTensorBuffer(out_slots_[i]);  // what lies in memory stays there
    return {static_cast<const uint8_t*>(data), outputs_[i].bytes};
  }

  // Around the inferences of a profile: what is heard from now on, of each, and of all of them.
  void start_profile() { profiler_.emplace(compiled_); }
  void begin_profiled() { profiler_->begin(); }
  void end_profiled() { profiler_->end(); }
  const std::vector<Operator>& operators() const { return profiler_->operators(); }

 private:
  void load(const Options& o) {
    const Bytes file = mapped(o.model);
    const LrtEnvironmentOption settings[] = {{kAcceleratorsOption, {2, {kCpu}}}, {kLeastSeverityOption, {2, {kWarnings}}}};
    check(LiteRtCreateEnvironment(2, settings, &environment_), Exit::load, "LiteRT does not start");
    LrtModel* model = nullptr;
    check(LiteRtCreateModelFromBuffer(environment_, file.data, file.size, &model), Exit::load, kCannotLoad);
    check(LiteRtCreateCompiledModel(environment_, model, options(o), &compiled_), Exit::load, kCannotLoad);
    graph_ = o.signature.empty() ? main_graph(model) : graph_of(model, o.signature);
    resize(o.shapes);
    place();
  }

  // The file is read from memory of our own: LiteRT checks that, and not a file that it opens itself.
  static Bytes mapped(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) throw Failure(Exit::load, "cannot open the model: " + std::string(std::strerror(errno)));
    if (status.st_size == 0) throw Failure(Exit::load, std::string(kCannotLoad) + ": the file is empty");
    void* at = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (at == MAP_FAILED) throw Failure(Exit::load, "cannot map the model: " + std::string(std::strerror(errno)));
    return {static_cast<const uint8_t*>(at), static_cast<size_t>(status.st_size)};
  }

  static LrtOptions* options(const Options& o) {
    LrtOptions* made = nullptr;
    check(LiteRtCreateOptions(&made), Exit::load, kCannotLoad);
    check(LiteRtSetOptionsHardwareAccelerators(made, kCpu), Exit::load, kCannotLoad);
    add(made, "xnnpack", "num_threads = " + std::to_string(o.threads) + "\n");
    add(made, "runtime_options_string", std::string("enable_profiling = ") + (o.mode == Mode::profile ? "true" : "false") + "\nerror_reporter_mode = 1\n");
    return made;
  }

  static void add(LrtOptions* to, const char* identifier, const std::string& toml) {
    LrtOpaqueOptions* made = nullptr;
    check(LiteRtCreateOpaqueOptions(identifier, strdup(toml.c_str()), free, &made), Exit::load, kCannotLoad);
    check(LiteRtAddOpaqueOptions(to, made), Exit::load, kCannotLoad);
  }

  void resize(const std::map<size_t, Shape>& shapes) {
    if (!shapes.empty() && shapes.rbegin()->first >= graph_.inputs.size()) throw Failure(Exit::load, "--shapes: the model has fewer inputs");
    for (const auto& [number, shape] : shapes) {
      const std::vector<int> sizes(shape.begin(), shape.end());
      check(LiteRtCompiledModelResizeInputTensorNonStrict(compiled_, graph_.signature, graph_.inputs[number].index, sizes.data(), sizes.size()),
            Exit::load, kCannotLoad);
    }
  }

  // A buffer for every input and output, one for a tensor that is listed twice: LiteRT fills only one of several.
  void place() {
    std::vector<LrtLayout> layouts(graph_.outputs.size());
    if (!layouts.empty())
      check(LiteRtGetCompiledModelOutputTensorLayouts(compiled_, graph_.signature, layouts.size(), layouts.data(), true), Exit::load, kCannotLoad);
    in_.resize(graph_.inputs.size());
    out_.resize(graph_.outputs.size());
    for (const Tensor& tensor : graph_.inputs) {
      LrtTensorType type = type_of(tensor);
      LrtRequirements* needs = nullptr;
      check(LiteRtGetCompiledModelInputTensorLayout(compiled_, graph_.signature, tensor.index, &type.layout), Exit::load, kCannotLoad);
      check(LiteRtGetCompiledModelInputBufferRequirements(compiled_, graph_.signature, tensor.index, &needs), Exit::load, kCannotLoad);
      in_slots_.push_back(in_[tensor.index] = buffer(tensor, type, needs));
      inputs_.push_back(slot(tensor, type, in_slots_.back()));
      sample_bytes_ += inputs_.back().bytes;
    }
    for (const Tensor& tensor : graph_.outputs) {
      LrtTensorType type = type_of(tensor);
      type.layout = layouts[tensor.index];
      LrtRequirements* needs = nullptr;
      check(LiteRtGetCompiledModelOutputBufferRequirements(compiled_, graph_.signature, tensor.index, &needs), Exit::load, kCannotLoad);
      out_slots_.push_back(out_[tensor.index] = buffer(tensor, type, needs));
      outputs_.push_back(slot(tensor, type, out_slots_.back()));
    }
  }

  LrtBuffer* buffer(const Tensor& tensor, const LrtTensorType& type, LrtRequirements* needs) {
    LrtBuffer*& made = buffers_[tensor.handle];
    if (made) {
      check(LiteRtDuplicateTensorBuffer(made), Exit::load, kCannotLoad);
      return made;
    }
    size_t bytes = 0;
    check(LiteRtGetTensorBufferRequirementsBufferSize(needs, &bytes), Exit::load, kCannotLoad);
    if (bytes == 0) throw Failure(Exit::load, std::string(kCannotLoad) + ": the shape of " + tensor.name + " is known after an inference only");
    check(LiteRtCreateManagedTensorBufferFromRequirements(environment_, &type, needs, &made), Exit::load, kCannotLoad);
    return made;
  }

  static void* lock(LrtBuffer* buffer, int mode) {
    void* at = nullptr;
    check(LiteRtLockTensorBuffer(buffer, &at, mode), Exit::execution, "a buffer cannot be reached");
    return at;
  }

  LrtEnvironment* environment_ = nullptr;
  LrtCompiledModel* compiled_ = nullptr;
  Graph graph_;
  std::map<LrtTensor*, LrtBuffer*> buffers_;
  std::vector<LrtBuffer*> in_, out_;               // in the order of the signature
  std::vector<LrtBuffer*> in_slots_, out_slots_;  // in that of the slots
  std::vector<Slot> inputs_, outputs_;
  size_t sample_bytes_ = 0;
  std::optional<Profiler> profiler_;
};

}  // namespace edgekit

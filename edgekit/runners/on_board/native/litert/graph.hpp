// Which graph of a .tflite is run, its main one or that of a signature, and its tensors. LiteRT runs signatures only; it makes one for a file without.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../core/failure.hpp"
#include "../core/tensors.hpp"
#include "interface.hpp"
#include "status.hpp"

namespace edgekit {

inline constexpr const char* kCannotLoad = "cannot load the model";

// `index` is its place in the signature.
struct Tensor {
  LrtTensor* handle = nullptr;
  size_t index = 0;
  std::string name;
};

// The tensors in the order that protocol 1 lists them.
struct Graph {
  size_t signature = 0;
  std::vector<Tensor> inputs, outputs;
};

struct Signature {
  size_t number = 0;
  LrtSignature* handle = nullptr;
};

inline std::vector<Signature> signatures_of(LrtModel* model) {
  size_t count = 0;
  check(LiteRtGetNumModelSignatures(model, &count), Exit::load, kCannotLoad);
  std::vector<Signature> list(count);
  for (size_t i = 0; i < count; ++i) {
    list[i].number = i;
    check(LiteRtGetModelSignature(model, i, &list[i].handle), Exit::load, kCannotLoad);
  }
  return list;
}

using Count = LrtStatus (*)(LrtSignature*, size_t*);
using Name = LrtStatus (*)(LrtSignature*, size_t, const char**);
using ByIndex = LrtStatus (*)(LrtSignature*, size_t, LrtTensor**);

// By the signature's own names, and in their order, as LiteRT's Python has them.
inline std::vector<Tensor> named(LrtSignature* signature, Count count_of, Name name_of, ByIndex tensor_of) {
  size_t count = 0;
  check(count_of(signature, &count), Exit::load, kCannotLoad);
  std::vector<Tensor> tensors(count);
  for (size_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    tensors[i].index = i;
    check(name_of(signature, i, &name), Exit::load, kCannotLoad);
    check(tensor_of(signature, i, &tensors[i].handle), Exit::load, kCannotLoad);
    tensors[i].name = name;
  }
  std::stable_sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
  return tensors;
}

inline Graph graph_of(LrtModel* model, const std::string& signature) {
  for (const Signature& each : signatures_of(model)) {
    const char* key = nullptr;
    check(LiteRtGetSignatureKey(each.handle, &key), Exit::load, kCannotLoad);
    if (signature != key) continue;
    return {each.number,
            named(each.handle, LiteRtGetNumSignatureInputs, LiteRtGetSignatureInputName, LiteRtGetSignatureInputTensorByIndex),
            named(each.handle, LiteRtGetNumSignatureOutputs, LiteRtGetSignatureOutputName, LiteRtGetSignatureOutputTensorByIndex)};
  }
  throw Failure(Exit::load, "the model has no signature '" + signature + "'");
}

// The tensors of a graph in the file's order, each at its place in the signature. Empty where the signature leaves some out.
inline std::vector<Tensor> in_file_order(const std::vector<LrtTensor*>& handles, std::vector<Tensor> listed) {
  std::vector<Tensor> tensors;
  for (LrtTensor* handle : handles) {
    const auto at = std::find_if(listed.begin(), listed.end(), [&](const Tensor& tensor) { return tensor.handle == handle; });
    if (at == listed.end()) return {};
    const char* name = nullptr;
    check(LiteRtGetTensorName(handle, &name), Exit::load, kCannotLoad);
    tensors.push_back({handle, at->index, name ? name : ""});
    listed.erase(at);  // a tensor may be listed twice
  }
  return listed.empty() ? tensors : std::vector<Tensor>();
}

inline std::vector<LrtTensor*> tensors_of(LrtSubgraph* graph, LrtStatus (*count_of)(LrtSubgraph*, size_t*),
                                          LrtStatus (*tensor_of)(LrtSubgraph*, size_t, LrtTensor**)) {
  size_t count = 0;
  check(count_of(graph, &count), Exit::load, kCannotLoad);
  std::vector<LrtTensor*> list(count);
  for (size_t i = 0; i < count; ++i) check(tensor_of(graph, i, &list[i]), Exit::load, kCannotLoad);
  return list;
}

// What runs where no signature is named: the first graph, through a signature that is all of it.
inline Graph main_graph(LrtModel* model) {
  LrtSubgraph* main = nullptr;
  check(LiteRtGetModelSubgraph(model, 0, &main), Exit::load, kCannotLoad);
  const auto in = tensors_of(main, LiteRtGetNumSubgraphInputs, LiteRtGetSubgraphInput);
  const auto out = tensors_of(main, LiteRtGetNumSubgraphOutputs, LiteRtGetSubgraphOutput);
  for (const Signature& each : signatures_of(model)) {
    LrtSubgraph* graph = nullptr;
    check(LiteRtGetSignatureSubgraph(each.handle, &graph), Exit::load, kCannotLoad);
    if (graph != main) continue;
    const auto inputs = named(each.handle, LiteRtGetNumSignatureInputs, LiteRtGetSignatureInputName, LiteRtGetSignatureInputTensorByIndex);
    const auto outputs = named(each.handle, LiteRtGetNumSignatureOutputs, LiteRtGetSignatureOutputName, LiteRtGetSignatureOutputTensorByIndex);
    Graph whole{each.number, in_file_order(in, inputs), in_file_order(out, outputs)};
    if (whole.inputs.size() == in.size() && whole.outputs.size() == out.size()) return whole;
  }
  throw Failure(Exit::load, std::string(kCannotLoad) + ": no signature of it is its main graph");
}

struct ElementType {
  int number;
  const char* name;
  size_t bytes;
};

inline ElementType element_type(int number) {
  static constexpr ElementType known[] = {{1, "float32", 4}, {10, "float16", 2}, {9, "int8", 1},  {3, "uint8", 1},
                                          {7, "int16", 2},   {2, "int32", 4},    {4, "int64", 8}, {6, "bool", 1}};
  for (const ElementType& type : known)
    if (type.number == number) return type;
  throw Failure(Exit::load, "the model has an input or output of TensorType " + std::to_string(number) + ", which edgekit does not know");
}

inline LrtTensorType type_of(const Tensor& tensor) {
  LrtTensorType type{};
  check(LiteRtGetRankedTensorType(tensor.handle, &type), Exit::load, kCannotLoad);
  return type;
}

inline Slot slot(const Tensor& tensor, const LrtTensorType& type, LrtBuffer* buffer) {
  const ElementType element = element_type(type.element_type);
  Shape shape(type.layout.dimensions, type.layout.dimensions + type.layout.rank);
  size_t bytes = element.bytes, packed = 0;
  for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
  check(LiteRtGetTensorBufferPackedSize(buffer, &packed), Exit::load, kCannotLoad);
  if (packed != bytes) throw Failure(Exit::load, tensor.name + " is " + std::to_string(packed) + " bytes where its shape says " + std::to_string(bytes));
  int kind = 0;
  LrtPerTensor scaled{};
  check(LiteRtGetQuantizationTypeId(tensor.handle, &kind), Exit::load, kCannotLoad);
  if (kind == kOneScale) check(LiteRtGetPerTensorQuantization(tensor.handle, &scaled), Exit::load, kCannotLoad);
  const auto quantization = scaled.scale > 0 ? std::optional<Quantization>({scaled.scale, scaled.zero_point}) : std::nullopt;
  return {tensor.name, element.name, std::move(shape), bytes, quantization};
}

}  // namespace edgekit

// The part of LiteRT's C interface that the runner uses. The wheel ships the library without headers, and the interface is not stable (a first
// argument was added between 2.1.5 and 2.1.6 under the same names): these declarations are those of ai-edge-litert 2.3, to which edgekit pins it.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

struct LrtEnvironment;
struct LrtModel;
struct LrtOptions;
struct LrtOpaqueOptions;
struct LrtCompiledModel;
struct LrtSignature;
struct LrtSubgraph;
struct LrtTensor;
struct LrtBuffer;
struct LrtRequirements;
struct LrtProfiler;

using LrtStatus = int;  // 0: ok

struct LrtLayout {
  uint32_t rank : 7, has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
};
struct LrtTensorType {
  int32_t element_type;
  LrtLayout layout;
};
struct LrtPerTensor {
  float scale;
  int64_t zero_point;
};
struct LrtValue {
  int32_t type;  // 2: a whole number
  union {
    int64_t number;
    const void* pointer;
  };
};
struct LrtEnvironmentOption {
  int32_t tag;
  LrtValue value;
};
struct LrtMemory {
  size_t total, in_use, footprint;
};
struct LrtEvent {
  const char* tag;
  int32_t type;
  uint64_t start_us, elapsed_us;
  LrtMemory before, after;
  uint64_t metadata1, metadata2;
  int32_t source;
};
static_assert(sizeof(LrtLayout) == 68 && sizeof(LrtTensorType) == 72 && sizeof(LrtPerTensor) == 16 && sizeof(LrtEnvironmentOption) == 24);
static_assert(sizeof(LrtEvent) == 104);

LrtStatus LiteRtCreateEnvironment(int count, const LrtEnvironmentOption*, LrtEnvironment**);
LrtStatus LiteRtCreateModelFromBuffer(LrtEnvironment*, const void*, size_t, LrtModel**);  // the bytes must stay; unlike …FromFile it verifies them
LrtStatus LiteRtCreateOptions(LrtOptions**);
LrtStatus LiteRtSetOptionsHardwareAccelerators(LrtOptions*, int bits);
LrtStatus LiteRtCreateOpaqueOptions(const char* identifier, void* payload, void (*destroy)(void*), LrtOpaqueOptions**);
LrtStatus LiteRtAddOpaqueOptions(LrtOptions*, LrtOpaqueOptions*);
LrtStatus LiteRtCreateCompiledModel(LrtEnvironment*, LrtModel*, LrtOptions*, LrtCompiledModel**);

LrtStatus LiteRtGetModelSubgraph(LrtModel*, size_t, LrtSubgraph**);
LrtStatus LiteRtGetNumSubgraphInputs(LrtSubgraph*, size_t*);
LrtStatus LiteRtGetNumSubgraphOutputs(LrtSubgraph*, size_t*);
LrtStatus LiteRtGetSubgraphInput(LrtSubgraph*, size_t, LrtTensor**);
LrtStatus LiteRtGetSubgraphOutput(LrtSubgraph*, size_t, LrtTensor**);
LrtStatus LiteRtGetNumModelSignatures(LrtModel*, size_t*);
LrtStatus LiteRtGetModelSignature(LrtModel*, size_t, LrtSignature**);
LrtStatus LiteRtGetSignatureKey(LrtSignature*, const char**);
LrtStatus LiteRtGetSignatureSubgraph(LrtSignature*, LrtSubgraph**);
LrtStatus LiteRtGetNumSignatureInputs(LrtSignature*, size_t*);
LrtStatus LiteRtGetNumSignatureOutputs(LrtSignature*, size_t*);
LrtStatus LiteRtGetSignatureInputName(LrtSignature*, size_t, const char**);
LrtStatus LiteRtGetSignatureOutputName(LrtSignature*, size_t, const char**);
LrtStatus LiteRtGetSignatureInputTensorByIndex(LrtSignature*, size_t, LrtTensor**);
LrtStatus LiteRtGetSignatureOutputTensorByIndex(LrtSignature*, size_t, LrtTensor**);
LrtStatus LiteRtGetTensorName(LrtTensor*, const char**);
LrtStatus LiteRtGetRankedTensorType(LrtTensor*, LrtTensorType*);
LrtStatus LiteRtGetQuantizationTypeId(LrtTensor*, int*);  // 1: one scale
LrtStatus LiteRtGetPerTensorQuantization(LrtTensor*, LrtPerTensor*);

LrtStatus LiteRtCompiledModelResizeInputTensorNonStrict(LrtCompiledModel*, size_t signature, size_t index, const int* sizes, size_t count);
LrtStatus LiteRtGetCompiledModelInputTensorLayout(LrtCompiledModel*, size_t signature, size_t index, LrtLayout*);
LrtStatus LiteRtGetCompiledModelOutputTensorLayouts(LrtCompiledModel*, size_t signature, size_t count, LrtLayout*, bool update_allocation);
LrtStatus LiteRtGetCompiledModelInputBufferRequirements(LrtCompiledModel*, size_t signature, size_t index, LrtRequirements**);
LrtStatus LiteRtGetCompiledModelOutputBufferRequirements(LrtCompiledModel*, size_t signature, size_t index, LrtRequirements**);
LrtStatus LiteRtGetTensorBufferRequirementsBufferSize(LrtRequirements*, size_t*);
LrtStatus LiteRtCreateManagedTensorBufferFromRequirements(LrtEnvironment*, const LrtTensorType*, LrtRequirements*, LrtBuffer**);
LrtStatus LiteRtDuplicateTensorBuffer(LrtBuffer*);  // one more reference to the same
LrtStatus LiteRtGetTensorBufferPackedSize(LrtBuffer*, size_t*);
LrtStatus LiteRtLockTensorBuffer(LrtBuffer*, void**, int mode);
LrtStatus LiteRtUnlockTensorBuffer(LrtBuffer*);
LrtStatus LiteRtRunCompiledModel(LrtCompiledModel*, size_t signature, size_t inputs, LrtBuffer**, size_t outputs, LrtBuffer**);

LrtStatus LiteRtCompiledModelGetProfiler(LrtCompiledModel*, LrtProfiler**);
LrtStatus LiteRtStartProfiler(LrtProfiler*);
LrtStatus LiteRtStopProfiler(LrtProfiler*);
LrtStatus LiteRtResetProfiler(LrtProfiler*);
LrtStatus LiteRtGetNumProfilerEvents(LrtProfiler*, int*);
LrtStatus LiteRtGetProfilerEvents(LrtProfiler*, int, LrtEvent*);

}  // extern "C"

constexpr int kAcceleratorsOption = 24, kLeastSeverityOption = 25;  // tags of the environment's options
constexpr int kWarnings = 2;
constexpr int kCpu = 1;
constexpr int kRead = 0, kWrite = 1;  // modes of a lock
constexpr int kOneScale = 1;
constexpr int kNodeEvent = 2, kDelegatedEvent = 8;  // types of a profiler's events: a node of the graph, an operator inside a delegate

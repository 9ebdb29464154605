// What each operator of an inference took: the hooks ExecuTorch's own ETDump hangs on, kept in memory instead of in a flatbuffer.
//
// An instruction of the method is named by the runtime; what a delegate logs of its inside comes under the names the delegate gives, in its order.
#pragma once

#include <executorch/runtime/core/event_tracer.h>

#include <cstdint>

#include "../core/operators.hpp"
#include "../core/process.hpp"

namespace edgekit {

namespace et = executorch::runtime;

class Tracer final : public et::EventTracer {
 public:
  Operators operators;

  void create_event_block(const char*) override {}
  et::EventTracerEntry start_profiling(const char* name, et::ChainID chain, et::DebugHandle handle) override {
    if (chain == et::kUnsetChainId) {
      chain = chain_id_;
      handle = debug_handle_;
    }
    const int64_t at = operators.number(name, chain == et::kUnsetChainId ? -1 : static_cast<int64_t>(handle), -1, false);
    return {at, chain, handle, static_cast<et_timestamp_t>(now_ns()), et::DelegateDebugIdType::kNone};
  }
  void end_profiling(et::EventTracerEntry entry) override { end(entry); }
  et::EventTracerEntry start_profiling_delegate(const char* name, et::DelegateDebugIntId id) override {
    const int64_t at = operators.number(name, instruction(), static_cast<int64_t>(id), true);
    return {at, chain_id_, debug_handle_, static_cast<et_timestamp_t>(now_ns()), et::DelegateDebugIdType::kInt};
  }
  void end_profiling_delegate(et::EventTracerEntry entry, const void*, size_t) override { end(entry); }
  void log_profiling_delegate(const char* name, et::DelegateDebugIntId id, et_timestamp_t start, et_timestamp_t end, const void*, size_t) override {
    operators.add_time(operators.number(name, instruction(), static_cast<int64_t>(id), true), static_cast<int64_t>(end - start));
  }

  void track_allocation(et::AllocatorID, size_t) override {}
  et::AllocatorID track_allocator(const char*) override { return 0; }
  et::Result<bool> log_evalue(const et::EValue&, et::LoggedEValueType) override { return false; }
  et::Result<bool> log_intermediate_output_delegate(const char*, et::DelegateDebugIntId, const executorch::aten::Tensor&) override { return false; }
  et::Result<bool> log_intermediate_output_delegate(const char*, et::DelegateDebugIntId, const executorch::runtime::ArrayRef<executorch::aten::Tensor>) override {
    return false;
  }
  et::Result<bool> log_intermediate_output_delegate(const char*, et::DelegateDebugIntId, const int&) override { return false; }
  et::Result<bool> log_intermediate_output_delegate(const char*, et::DelegateDebugIntId, const bool&) override { return false; }
  et::Result<bool> log_intermediate_output_delegate(const char*, et::DelegateDebugIntId, const double&) override { return false; }
  void set_delegation_intermediate_output_filter(et::EventTracerFilterBase*) override {}

 private:
  int64_t instruction() const { return chain_id_ == et::kUnsetChainId ? -1 : static_cast<int64_t>(debug_handle_); }
  void end(const et::EventTracerEntry& entry) { operators.add_time(entry.event_id, now_ns() - static_cast<int64_t>(entry.start_time)); }
};

}  // namespace edgekit

// What each operator of an inference took: the hooks ExecuTorch's own ETDump hangs on, kept in memory instead of in a flatbuffer.
//
// An instruction of the method is named by the runtime; what a delegate logs of its inside comes under the names the delegate gives, in its order.
#pragma once

#include <executorch/runtime/core/event_tracer.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "process.hpp"

namespace edgekit {

namespace et = executorch::runtime;

struct Operator {
  std::string name;
  int64_t instruction;  // index in the method's list of instructions; -1 when it is none of them
  int64_t delegate_id;  // a delegate's own number for it; -1 outside delegates
  bool delegated;
  std::vector<int64_t> ns;  // one time an inference
};

// Events are matched by their order in an inference, which is the same each time.
class Tracer final : public et::EventTracer {
 public:
  void begin_inference() { next_ = 0; }
  const std::vector<Operator>& operators() const { return operators_; }

  void create_event_block(const char*) override {}
  et::EventTracerEntry start_profiling(const char* name, et::ChainID chain, et::DebugHandle handle) override {
    if (chain == et::kUnsetChainId) {
      chain = chain_id_;
      handle = debug_handle_;
    }
    const int64_t at = slot(name, chain == et::kUnsetChainId ? -1 : static_cast<int64_t>(handle), -1, false);
    return {at, chain, handle, static_cast<et_timestamp_t>(now_ns()), et::DelegateDebugIdType::kNone};
  }
  void end_profiling(et::EventTracerEntry entry) override { end(entry); }
  et::EventTracerEntry start_profiling_delegate(const char* name, et::DelegateDebugIntId id) override {
    const int64_t at = slot(name, instruction(), id, true);
    return {at, chain_id_, debug_handle_, static_cast<et_timestamp_t>(now_ns()), et::DelegateDebugIdType::kInt};
  }
  void end_profiling_delegate(et::EventTracerEntry entry, const void*, size_t) override { end(entry); }
  void log_profiling_delegate(const char* name, et::DelegateDebugIntId id, et_timestamp_t start, et_timestamp_t end, const void*, size_t) override {
    const int64_t at = slot(name, instruction(), id, true);
    operators_[static_cast<size_t>(at)].ns.push_back(static_cast<int64_t>(end - start));
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

  void end(const et::EventTracerEntry& entry) {
    operators_[static_cast<size_t>(entry.event_id)].ns.push_back(now_ns() - static_cast<int64_t>(entry.start_time));
  }

  int64_t slot(const char* name, int64_t instruction, et::DelegateDebugIntId id, bool delegated) {
    const std::string called = name ? name : "";
    for (size_t at = next_; at < operators_.size(); ++at) {
      if (operators_[at].name == called && operators_[at].instruction == instruction && operators_[at].delegated == delegated) {
        next_ = at + 1;
        return static_cast<int64_t>(at);
      }
    }
    operators_.push_back({called, instruction, delegated ? static_cast<int64_t>(id) : -1, delegated, {}});
    next_ = operators_.size();
    return static_cast<int64_t>(next_ - 1);
  }

  std::vector<Operator> operators_;
  size_t next_ = 0;
};

}  // namespace edgekit

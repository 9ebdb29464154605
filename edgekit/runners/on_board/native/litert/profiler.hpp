// What LiteRT's profiler says of each operator. It counts whole µs and drops the rest.
//
// A node of the graph that ran outside the delegate comes with its index. An operator inside XNNPACK comes under XNNPACK's name and with its index in
// its partition of the graph, which begins at 0 again in each; partitions are numbered here in the order they run.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/operators.hpp"
#include "interface.hpp"
#include "status.hpp"

namespace edgekit {

class Profiler {
 public:
  explicit Profiler(LrtCompiledModel* model) { check(LiteRtCompiledModelGetProfiler(model, &profiler_), Exit::execution, "there is no profiler"); }

  void begin() {
    operators_.begin_inference();
    check(LiteRtResetProfiler(profiler_), Exit::execution, "the profiler does not reset");  // its buffer holds some thousand inferences only
    check(LiteRtStartProfiler(profiler_), Exit::execution, "the profiler does not start");
  }

  void end() {
    int count = 0;
    check(LiteRtStopProfiler(profiler_), Exit::execution, "the profiler does not stop");
    check(LiteRtGetNumProfilerEvents(profiler_, &count), Exit::execution, "the profiler does not tell");
    events_.resize(static_cast<size_t>(count));
    if (count > 0) check(LiteRtGetProfilerEvents(profiler_, count, events_.data()), Exit::execution, "the profiler does not tell");
    int64_t partition = -1, before = -1;
    for (const LrtEvent& event : events_) {
      const int64_t index = static_cast<int64_t>(event.metadata1), ns = static_cast<int64_t>(event.elapsed_us) * 1000;
      if (event.type == kNodeEvent) {
        operators_.add_time(operators_.number(event.tag, index, -1, false), ns);
        before = -1;
      } else if (event.type == kDelegatedEvent) {
        if (before < 0 || index <= before) ++partition;
        before = index;
        operators_.add_time(operators_.number(event.tag, partition, index, true), ns);
      }
    }
  }

  const std::vector<Operator>& operators() const { return operators_.all(); }

 private:
  LrtProfiler* profiler_ = nullptr;
  std::vector<LrtEvent> events_;
  Operators operators_;
};

}  // namespace edgekit

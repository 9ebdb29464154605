// The phases of a run: first inference, warm-up, steady iterations, outputs; sustained load and profile. The same for every engine.
//
// Timed is Model::run, which sets the inputs and executes; reading the sample and printing lie outside.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>

#include "operators.hpp"
#include "options.hpp"
#include "process.hpp"
#include "protocol.hpp"
#include "samples.hpp"
#include "times.hpp"

namespace edgekit {

template <typename Body>
int64_t timed(Body&& body) {
  const int64_t start = now_ns();
  body();
  return now_ns() - start;
}

// Runs `body(prepare(i))` on one i after the other until `done(iterations, elapsed_ns)`, checked after each; `sink` gets the times.
template <typename Sink, typename Prepare, typename Body, typename Done>
int64_t repeat(Sink& sink, Prepare&& prepare, Body&& body, Done&& done) {
  const int64_t start = now_ns();
  int64_t now = start;
  do {
    const auto prepared = prepare(sink.count());
    const int64_t ns = timed([&] { body(prepared); });
    now = now_ns();
    sink.add(ns, now);
  } while (!sink.full() && !done(sink.count(), now - start));
  sink.flush(now);
  return sink.count();
}

// Mean time of the loop's own two clock readings around an empty body.
inline double overhead_ns_per_iteration() {
  constexpr int kIterations = 10'000;
  volatile int64_t sink = 0;
  int64_t total = 0;
  for (int i = 0; i < kIterations; ++i) total += timed([&] { sink = i; });
  return static_cast<double>(total) / kIterations;
}

// One run of a loaded model, in the mode that was asked for.
template <typename Model>
class Run {
 public:
  Run(const Options& o, const Protocol& protocol, Model& model) : o_(o), protocol_(protocol), model_(model), samples_(o, model) {}

  // Returns how many inferences were counted.
  int64_t work() {
    switch (o_.mode) {
      case Mode::evaluate: {
        Times times(protocol_, "steady");
        return write_outputs(&times);
      }
      case Mode::profile:
        return profile();
      default:
        return measure();
    }
  }

 private:
  // Runs every sample once and writes what comes out; `times` may be null.
  int64_t write_outputs(Times* times) {
    const File file(o_.outputs, O_WRONLY | O_CREAT | O_TRUNC);
    int64_t bytes = 0;
    for (int64_t i = 0; i < samples_.count(); ++i) {
      uint8_t* const sample = samples_.at(i);
      const int64_t ns = timed([&] { model_.run(sample); });
      for (size_t output = 0; output < model_.outputs().size(); ++output) {
        const Bytes data = model_.output(output);
        file.append(data.data, data.size);
        bytes += static_cast<int64_t>(data.size);
      }
      if (times) times->add(ns, now_ns());
    }
    if (times) times->flush(now_ns());
    protocol_.send(protocol_.line("outputs").add("samples", samples_.count()).add("bytes", bytes));
    return samples_.count();
  }

  // The time that is asked for, and as long again until the times are steady, at most ten times as long in all.
  void warm_up() {
    uint8_t* const first = samples_.at(0);
    protocol_.send(protocol_.line("first").add("ns", timed([&] { model_.run(first); })));
    protocol_.send(memory_line(protocol_, "first"));
    if (o_.warmup_min_ns <= 0) return;
    Times warmup(protocol_, "warmup");
    bool is_steady = false;
    for (int legs = 0; legs < kMostLegs && !is_steady && !warmup.full(); ++legs) {
      Leg leg(warmup, o_.warmup_min_ns);
      infer(leg, [&](int64_t, int64_t elapsed) { return elapsed >= o_.warmup_min_ns; });
      is_steady = leg.steady();
    }
  }

  template <typename Sink, typename Done>
  int64_t infer(Sink& sink, Done&& done) {
    return repeat(sink, [&](int64_t iteration) { return samples_.at(iteration); }, [&](uint8_t* data) { model_.run(data); }, done);
  }

  template <typename Sink>
  int64_t steady(Sink& sink) {
    return infer(sink, [&](int64_t count, int64_t elapsed) { return (count >= o_.min_iterations && elapsed >= o_.min_ns) || elapsed >= o_.max_ns; });
  }

  int64_t measure() {
    warm_up();
    int64_t iterations = 0;
    Windows windows(protocol_, o_, o_.mode == Mode::sustain);
    if (o_.mode == Mode::sustain) {
      iterations = steady(windows);
    } else {
      Times times(protocol_, "steady", &windows);
      iterations = steady(times);
    }
    protocol_.send(memory_line(protocol_, "steady"));
    protocol_.send(protocol_.line("overhead").raw("ns_per_iteration", std::to_string(overhead_ns_per_iteration())));
    if (!o_.outputs.empty()) write_outputs(nullptr);
    return iterations;
  }

  // Inferences with a profiler listening. What it adds to each is in the times, so they are told apart from those of `measure`.
  int64_t profile() {
    warm_up();
    model_.start_profile();
    Times times(protocol_, "steady");
    int64_t ended = 0;
    const auto end_last = [&](int64_t until) {  // outside the timed region, as reading a sample is
      for (; ended < until; ++ended) model_.end_profiled();
    };
    const auto sample = [&](int64_t iteration) {
      end_last(iteration);
      model_.begin_profiled();
      return samples_.at(iteration);
    };
    const int64_t iterations = repeat(times, sample, [&](uint8_t* data) { model_.run(data); }, [&](int64_t count, int64_t elapsed) {
      return count >= std::min<int64_t>(o_.min_iterations, kValuesPerLine) || elapsed >= o_.max_ns;
    });
    end_last(iterations);
    for (const Operator& op : model_.operators())
      protocol_.send(protocol_.line("operator")
                         .add("name", op.name.substr(0, 200))
                         .add("instruction", op.instruction)
                         .add("delegate_id", op.delegate_id)
                         .raw("delegated", op.delegated ? "true" : "false")
                         .add("ns", op.ns));
    return iterations;
  }

  const Options& o_;
  const Protocol& protocol_;
  Model& model_;
  Samples<Model> samples_;
};

}  // namespace edgekit

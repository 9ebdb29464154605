// edgekit's ExecuTorch runner: load a .pte, warm up, iterate, print raw times, memory marks and facts as runner protocol 1. It judges nothing.
//
// Timed is Model::run, which sets the inputs and executes; reading the sample and printing lie outside. Built by edgekit/runners/native.py
// against the headers and shared libraries of the executorch wheel. Exit codes: 0 ok, 2 usage, 3 cannot load, 4 execution failed, 5 input or
// output file.
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <climits>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "failure.hpp"
#include "model.hpp"
#include "options.hpp"
#include "process.hpp"
#include "protocol.hpp"
#include "samples.hpp"
#include "times.hpp"
#include "tracer.hpp"

#ifndef EDGEKIT_EXECUTORCH_VERSION
#error "define EDGEKIT_EXECUTORCH_VERSION as the version of the wheel this is built against"
#endif

namespace edgekit {
namespace {

std::string machine() {
  utsname name;
  return uname(&name) == 0 ? name.machine : "unknown";
}

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
double overhead_ns_per_iteration() {
  constexpr int kIterations = 10'000;
  volatile int64_t sink = 0;
  int64_t total = 0;
  for (int i = 0; i < kIterations; ++i) total += timed([&] { sink = i; });
  return static_cast<double>(total) / kIterations;
}

std::vector<Object> describe(const std::vector<Slot>& slots) {
  std::vector<Object> list;
  for (const Slot& slot : slots) {
    list.push_back(Object().add("name", slot.name).add("dtype", slot.dtype).add("shape", slot.shape).raw("scale", "null").raw("zero_point", "null"));
  }
  return list;
}

void append_outputs(const Model& model, const File& file, int64_t* bytes) {
  for (size_t i = 0; i < model.outputs().size(); ++i) {
    const auto data = model.output(i);
    file.append(data.data(), data.size());
    *bytes += static_cast<int64_t>(data.size());
  }
}

// Runs every sample once and writes what comes out; `times` may be null.
int64_t write_outputs(const Options& o, const Protocol& protocol, Model& model, Samples& samples, Times* times) {
  const File file(o.outputs, O_WRONLY | O_CREAT | O_TRUNC);
  int64_t bytes = 0;
  for (int64_t i = 0; i < samples.count(); ++i) {
    uint8_t* const sample = samples.at(i);
    const int64_t ns = timed([&] { model.run(sample); });
    append_outputs(model, file, &bytes);
    if (times) times->add(ns, now_ns());
  }
  if (times) times->flush(now_ns());
  protocol.send(protocol.line("outputs").add("samples", samples.count()).add("bytes", bytes));
  return samples.count();
}

// The time that is asked for, and as long again until the times are steady, at most ten times as long in all.
void warm_up(const Options& o, const Protocol& protocol, Model& model, Samples& samples) {
  uint8_t* const first = samples.at(0);
  protocol.send(protocol.line("first").add("ns", timed([&] { model.run(first); })));
  protocol.send(memory_line(protocol, "first"));
  if (o.warmup_min_ns <= 0) return;
  Times warmup(protocol, "warmup");
  const auto sample = [&](int64_t iteration) { return samples.at(iteration); };
  bool steady = false;
  for (int legs = 0; legs < kMostLegs && !steady && !warmup.full(); ++legs) {
    Leg leg(warmup, o.warmup_min_ns);
    repeat(leg, sample, [&](uint8_t* data) { model.run(data); }, [&](int64_t, int64_t elapsed) { return elapsed >= o.warmup_min_ns; });
    steady = leg.steady();
  }
}

template <typename Sink>
int64_t steady(const Options& o, Sink& sink, Model& model, Samples& samples) {
  const auto sample = [&](int64_t iteration) { return samples.at(iteration); };
  return repeat(sink, sample, [&](uint8_t* data) { model.run(data); }, [&](int64_t count, int64_t elapsed) {
    return (count >= o.min_iterations && elapsed >= o.min_ns) || elapsed >= o.max_ns;
  });
}

int64_t measure(const Options& o, const Protocol& protocol, Model& model, Samples& samples) {
  warm_up(o, protocol, model, samples);
  int64_t iterations = 0;
  Windows windows(protocol, o, o.mode == Mode::sustain);
  if (o.mode == Mode::sustain) {
    iterations = steady(o, windows, model, samples);
  } else {
    Times times(protocol, "steady", &windows);
    iterations = steady(o, times, model, samples);
  }
  protocol.send(memory_line(protocol, "steady"));
  protocol.send(protocol.line("overhead").raw("ns_per_iteration", std::to_string(overhead_ns_per_iteration())));
  if (!o.outputs.empty()) write_outputs(o, protocol, model, samples, nullptr);
  return iterations;
}

// Inferences with a tracer listening. What it adds to each is in the times, so they are told apart from those of `measure`.
int64_t profile(const Options& o, const Protocol& protocol, Model& model, Samples& samples, Tracer& tracer) {
  warm_up(o, protocol, model, samples);
  tracer = Tracer();
  Times times(protocol, "steady");
  const auto sample = [&](int64_t iteration) {
    tracer.begin_inference();
    return samples.at(iteration);
  };
  const int64_t iterations = repeat(times, sample, [&](uint8_t* data) { model.run(data); }, [&](int64_t count, int64_t elapsed) {
    return count >= std::min<int64_t>(o.min_iterations, kValuesPerLine) || elapsed >= o.max_ns;
  });
  for (const Operator& op : tracer.operators())
    protocol.send(protocol.line("operator")
                      .add("name", op.name.substr(0, 200))
                      .add("instruction", op.instruction)
                      .add("delegate_id", op.delegate_id)
                      .raw("delegated", op.delegated ? "true" : "false")
                      .add("ns", op.ns));
  return iterations;
}

int64_t evaluate(const Options& o, const Protocol& protocol, Model& model, Samples& samples) {
  Times times(protocol, "steady");
  return write_outputs(o, protocol, model, samples, &times);
}

int64_t file_bytes(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) throw Failure(Exit::load, path + ": no such file");
  return status.st_size;
}

std::string absolute(const std::string& path) {  // the loader fails on relative paths
  char resolved[PATH_MAX];
  return realpath(path.c_str(), resolved) ? resolved : path;
}

int64_t work(const Options& o, const Protocol& protocol, Model& model, Samples& samples, Tracer* tracer) {
  if (o.mode == Mode::evaluate) return evaluate(o, protocol, model, samples);
  return tracer ? profile(o, protocol, model, samples, *tracer) : measure(o, protocol, model, samples);
}

void run(const Options& o, const Protocol& protocol, const std::optional<int64_t>& start_ns) {
  const Usage usage;
  start_runtime(o.threads);
  reset_peak_rss();
  protocol.send(memory_line(protocol, "baseline"));

  const std::string path = absolute(o.model);
  const int64_t model_bytes = file_bytes(path);
  const auto tracer = o.mode == Mode::profile ? std::make_unique<Tracer>() : nullptr;
  std::optional<Model> model;
  const int64_t load_ns = timed([&] { model.emplace(path, o.signature, o.shapes, tracer.get()); });
  protocol.send(protocol.line("load")
                    .add("ns", load_ns)
                    .add("start_ns", start_ns)
                    .add("arena_bytes", model->arena_bytes())
                    .add("model_bytes", model_bytes));
  protocol.send(memory_line(protocol, "loaded"));
  protocol.send(protocol.line("tensors").add("inputs", describe(model->inputs())).add("outputs", describe(model->outputs())));

  Samples samples(o, *model);
  const int64_t iterations = work(o, protocol, *model, samples, tracer.get());
  protocol.send(memory_line(protocol, "end"));
  protocol.send(protocol.line("end").add("iterations", iterations).add("cpu_ns", usage.process_ns()).add("ticks", usage.ticks()).raw("ok", "true"));
}

int version() {
  Object line;
  line.add("edgekit", 1).add("type", "version").add("runtime", "executorch").add("runtime_version", EDGEKIT_EXECUTORCH_VERSION);
  std::printf("%s\n", line.add("runner", "native").add("arch", machine()).text().c_str());
  return static_cast<int>(Exit::ok);
}

int start(int argc, char** argv) {
  const auto start_ns = since_process_start_ns();
  if (argc == 2 && std::string(argv[1]) == "--version") return version();
  std::optional<Protocol> protocol;
  try {
    const Options options = parse_options(argc, argv);
    bind_to(options.cpus);
    protocol.emplace(options.nonce);
    protocol->send(protocol->line("hello")
                       .add("runtime", "executorch")
                       .add("runtime_version", EDGEKIT_EXECUTORCH_VERSION)
                       .add("runner", "native")
                       .add("arch", machine())
                       .add("pid", getpid())
                       .add("threads", options.threads)
                       .add("clock", "CLOCK_MONOTONIC")
                       .add("at_ns", now_ns())
                       .add("cpus", allowed_cpus()));
    run(options, *protocol, start_ns);
    return static_cast<int>(Exit::ok);
  } catch (const Failure& failure) {
    std::fprintf(stderr, "edgekit_runner: %s\n%s", failure.what(), failure.code == Exit::usage ? kUsage : "");
    if (protocol && failure.code != Exit::usage)
      protocol->send(protocol->line("error").add("code", static_cast<int>(failure.code)).add("message", failure.what()));
    return static_cast<int>(failure.code);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "edgekit_runner: %s\n", error.what());
    return static_cast<int>(Exit::execution);
  }
}

}  // namespace
}  // namespace edgekit

int main(int argc, char** argv) {
  const int code = edgekit::start(argc, argv);
  std::fflush(nullptr);
  _exit(code);  // nothing of the runtime is destroyed here: see model.hpp
}

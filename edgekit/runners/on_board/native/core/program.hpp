// One run from the command line to the exit code: protocol 1 on standard output, whatever the engine. It judges nothing.
//
// An engine is a class `Model` of a loaded model: its runtime's name and version, the runtime's start, inputs and outputs, `run`, and a profile.
// Exit codes: 0 ok, 2 usage, 3 cannot load, 4 execution failed, 5 input or output file.
#pragma once

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "failure.hpp"
#include "measuring.hpp"
#include "options.hpp"
#include "process.hpp"
#include "protocol.hpp"
#include "tensors.hpp"

namespace edgekit {

inline std::string machine() {
  utsname name;
  return uname(&name) == 0 ? name.machine : "unknown";
}

// A number that is read back as the very same.
inline std::string exact(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

inline std::vector<Object> describe(const std::vector<Slot>& slots) {
  std::vector<Object> list;
  for (const Slot& slot : slots) {
    const auto& scaled = slot.quantization;
    list.push_back(Object()
                       .add("name", slot.name.substr(0, 256))
                       .add("dtype", slot.dtype)
                       .add("shape", slot.shape)
                       .raw("scale", scaled ? exact(scaled->scale) : "null")
                       .raw("zero_point", scaled ? std::to_string(scaled->zero_point) : "null"));
  }
  return list;
}

inline int64_t file_bytes(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) throw Failure(Exit::load, path + ": no such file");
  return status.st_size;
}

template <typename Model>
void run(const Options& o, const Protocol& protocol, const std::optional<int64_t>& start_ns) {
  const Usage usage;
  Model::start_runtime(o.threads);
  reset_peak_rss();
  protocol.send(memory_line(protocol, "baseline"));

  const int64_t model_bytes = file_bytes(o.model);
  std::optional<Model> model;
  const int64_t load_ns = timed([&] { model.emplace(o); });
  protocol.send(protocol.line("load")
                    .add("ns", load_ns)
                    .add("start_ns", start_ns)
                    .add("arena_bytes", model->arena_bytes())
                    .add("model_bytes", model_bytes));
  protocol.send(memory_line(protocol, "loaded"));
  protocol.send(protocol.line("tensors").add("inputs", describe(model->inputs())).add("outputs", describe(model->outputs())));

  const int64_t iterations = Run<Model>(o, protocol, *model).work();
  protocol.send(memory_line(protocol, "end"));
  protocol.send(protocol.line("end").add("iterations", iterations).add("cpu_ns", usage.process_ns()).add("ticks", usage.ticks()).raw("ok", "true"));
}

template <typename Model>
int version() {
  Object line;
  line.add("edgekit", 1).add("type", "version").add("runtime", Model::kRuntime).add("runtime_version", Model::kVersion);
  std::printf("%s\n", line.add("runner", "native").add("arch", machine()).text().c_str());
  return static_cast<int>(Exit::ok);
}

template <typename Model>
int start(int argc, char** argv) {
  const auto start_ns = since_process_start_ns();
  if (argc == 2 && std::string(argv[1]) == "--version") return version<Model>();
  std::optional<Protocol> protocol;
  try {
    const Options options = parse_options(argc, argv);
    bind_to(options.cpus);
    protocol.emplace(options.nonce);
    protocol->send(protocol->line("hello")
                       .add("runtime", Model::kRuntime)
                       .add("runtime_version", Model::kVersion)
                       .add("runner", "native")
                       .add("arch", machine())
                       .add("pid", getpid())
                       .add("threads", options.threads)
                       .add("clock", "CLOCK_MONOTONIC")
                       .add("at_ns", now_ns())
                       .add("cpus", allowed_cpus()));
    run<Model>(options, *protocol, start_ns);
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

}  // namespace edgekit

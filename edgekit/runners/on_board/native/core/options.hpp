// The command line of the runner, checked strictly. Owns names, types and ranges; what cannot be understood ends the program with exit code 2.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "failure.hpp"

namespace edgekit {

constexpr const char* kUsage =
    "usage: edgekit_runner --model PATH --nonce HEX [--inputs FILE --samples K] [--outputs FILE] [--threads T] [--warmup-min-ns N]\n"
    "                      [--min-iterations N] [--min-ns N] [--max-ns N] [--mode measure|evaluate|profile|sustain]\n"
    "                      [--cpus N,N…] [--window-ns N] [--probes PATH:PATH…] [--states INPUT:OUTPUT,… --steps N]\n"
    "                      [--signature NAME] [--shapes INPUT:NxN…,…]\n"
    "       edgekit_runner --version\n";

enum class Mode { measure, evaluate, profile, sustain };

// An input that is fed from an output of the inference before, by their numbers.
struct State {
  size_t input, output;
};

struct Options {
  std::string model;
  std::string signature;                           // or method; empty: the main one
  std::map<size_t, std::vector<int64_t>> shapes;  // of inputs by their numbers, where they are not the largest
  std::string nonce;
  std::string inputs;   // empty: pseudo-random data
  std::string outputs;  // empty: not written
  Mode mode = Mode::measure;
  int64_t samples = 1;
  int64_t threads = 1;
  int64_t warmup_min_ns = 0;
  int64_t min_iterations = 1;
  int64_t min_ns = 0;
  int64_t max_ns = std::numeric_limits<int64_t>::max();
  int64_t window_ns = 0;             // 0: no windows
  std::vector<int> cpus;             // empty: where the scheduler likes
  std::vector<State> states;
  int64_t steps = 1;                // so many samples are a series, at whose start the states are those of the inputs file
  std::vector<std::string> probes;  // files with a whole number each, read at the end of every window
};

inline int64_t whole_number(const std::string& name, const std::string& text, int64_t low, int64_t high) {
  errno = 0;
  char* end = nullptr;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  const bool digits_only = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits_only || errno != 0 || *end != '\0' || value < low || value > high) {
    const std::string range = std::to_string(low) + " to " + std::to_string(high);
    throw Failure(Exit::usage, name + ": expected a whole number from " + range + ", got '" + text + "'");
  }
  return value;
}

inline void require(bool condition, const std::string& message) {
  if (!condition) throw Failure(Exit::usage, message);
}

inline std::map<std::string, std::string> pairs(int argc, char** argv) {
  static const char* const known[] = {"--model", "--nonce", "--inputs", "--samples", "--outputs", "--threads", "--warmup-min-ns",
                                      "--min-iterations", "--min-ns", "--max-ns", "--mode", "--cpus", "--window-ns", "--probes", "--states",
                                      "--steps", "--signature", "--shapes"};
  std::map<std::string, std::string> found;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    bool is_known = false;
    for (const char* candidate : known) is_known = is_known || name == candidate;
    require(is_known, "unknown option '" + name + "'");
    require(i + 1 < argc, name + ": needs a value");
    require(found.emplace(name, argv[i + 1]).second, name + ": given twice");
  }
  return found;
}

inline std::vector<std::string> parts(const std::string& text, char separator) {
  std::vector<std::string> found;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(separator, start), text.size());
    found.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return found;
}

inline Mode parse_mode(const std::string& text) {
  static const std::map<std::string, Mode> known = {
      {"measure", Mode::measure}, {"evaluate", Mode::evaluate}, {"profile", Mode::profile}, {"sustain", Mode::sustain}};
  const auto found = known.find(text);
  require(found != known.end(), "--mode: expected measure, evaluate, profile or sustain, got '" + text + "'");
  return found->second;
}

inline std::vector<State> parse_states(const std::string& text) {
  std::vector<State> states;
  for (const std::string& pair : parts(text, ',')) {
    const std::vector<std::string> numbers = parts(pair, ':');
    require(numbers.size() == 2, "--states: expected INPUT:OUTPUT, got '" + pair + "'");
    states.push_back({static_cast<size_t>(whole_number("--states", numbers[0], 0, 1023)), static_cast<size_t>(whole_number("--states", numbers[1], 0, 1023))});
  }
  return states;
}

inline std::map<size_t, std::vector<int64_t>> parse_shapes(const std::string& text) {
  std::map<size_t, std::vector<int64_t>> shapes;
  for (const std::string& pair : parts(text, ',')) {
    const std::vector<std::string> halves = parts(pair, ':');
    require(halves.size() == 2, "--shapes: expected INPUT:NxN…, got '" + pair + "'");
    std::vector<int64_t> shape;
    for (const std::string& size : parts(halves[1], 'x')) shape.push_back(whole_number("--shapes", size, 1, std::numeric_limits<int32_t>::max()));
    shapes[static_cast<size_t>(whole_number("--shapes", halves[0], 0, 1023))] = shape;
  }
  return shapes;
}

inline Options parse_options(int argc, char** argv) {
  const auto given = pairs(argc, argv);
  const auto text = [&](const char* name, const char* otherwise) {
    const auto found = given.find(name);
    return found == given.end() ? std::string(otherwise) : found->second;
  };
  const auto number = [&](const char* name, int64_t otherwise, int64_t low, int64_t high) {
    const auto found = given.find(name);
    return found == given.end() ? otherwise : whole_number(name, found->second, low, high);
  };
  constexpr int64_t kHour = 3'600'000'000'000, kMost = std::numeric_limits<int64_t>::max();
  Options o;
  o.model = text("--model", "");
  o.nonce = text("--nonce", "");
  o.signature = text("--signature", "");
  o.shapes = parse_shapes(text("--shapes", ""));
  o.inputs = text("--inputs", "");
  o.outputs = text("--outputs", "");
  o.mode = parse_mode(text("--mode", "measure"));
  o.samples = number("--samples", 1, 1, int64_t{1} << 31);
  o.threads = number("--threads", 1, 1, 256);
  o.warmup_min_ns = number("--warmup-min-ns", 0, 0, kHour);
  o.min_iterations = number("--min-iterations", 1, 1, int64_t{1} << 20);
  o.min_ns = number("--min-ns", 0, 0, kHour);
  o.max_ns = number("--max-ns", kMost, 1, kMost);
  o.window_ns = number("--window-ns", 0, 0, kHour);
  o.states = parse_states(text("--states", ""));
  o.steps = number("--steps", 1, 1, int64_t{1} << 31);
  o.probes = parts(text("--probes", ""), ':');
  for (const std::string& cpu : parts(text("--cpus", ""), ',')) o.cpus.push_back(static_cast<int>(whole_number("--cpus", cpu, 0, 1023)));
  require(!o.model.empty(), "--model: missing");
  require(!o.nonce.empty() && o.nonce.size() <= 128 && o.nonce.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos,
          "--nonce: expected 1 to 128 hexadecimal digits");
  require(given.count("--inputs") == given.count("--samples"), "--inputs and --samples belong together");
  require(given.count("--states") == given.count("--steps"), "--states and --steps belong together");
  require(o.probes.size() <= 32, "--probes: at most 32");
  require(o.mode != Mode::sustain || o.window_ns > 0, "--mode sustain: needs --window-ns");
  require(o.mode != Mode::evaluate || (!o.inputs.empty() && !o.outputs.empty()), "--mode evaluate: needs --inputs, --samples and --outputs");
  return o;
}

}  // namespace edgekit

// Times of inferences on their way to the host: all of them in lines, or, when a run is too long for that, some of each window. Counts, judges nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "options.hpp"
#include "process.hpp"
#include "protocol.hpp"

namespace edgekit {

constexpr size_t kValuesPerLine = 4096;
constexpr size_t kTimesPerWindow = 64;
constexpr int64_t kMostIterations = int64_t{1} << 20;  // of one phase: bounds what a tiny model prints
constexpr int kMostLegs = 10;                         // of the warm-up
constexpr int64_t kSilenceNs = 2'000'000'000;         // a line is due after this long, so that the host sees progress and a crash costs little

// At the end of every window a line with the time, the inferences so far and what the probes say, read between two inferences.
class Windows {
 public:
  Windows(const Protocol& protocol, const Options& options, bool keeps_times)
      : protocol_(protocol), options_(options), keeps_times_(keeps_times), opened_at_(now_ns()) {
    if (options_.window_ns > 0) send(opened_at_);
  }
  void add(int64_t ns, int64_t now) {
    ++count_;
    if (keeps_times_ && times_.size() < kTimesPerWindow) times_.push_back(ns);
    if (options_.window_ns > 0 && now - opened_at_ >= options_.window_ns) send(now);
  }
  void flush(int64_t now) {
    if (options_.window_ns > 0 && count_ > sent_) send(now);
  }
  int64_t count() const { return count_; }
  bool full() const { return false; }

 private:
  void send(int64_t now) {
    std::vector<std::optional<int64_t>> values;
    for (const std::string& path : options_.probes) values.push_back(read_number(path));
    protocol_.send(protocol_.line("window").add("at_ns", now).add("iterations", count_).add("ns", times_).add("values", values));
    times_.clear();
    sent_ = count_;
    opened_at_ = now;
  }

  const Protocol& protocol_;
  const Options& options_;
  bool keeps_times_;
  int64_t opened_at_;
  int64_t count_ = 0, sent_ = 0;
  std::vector<int64_t> times_;
};

// Every time of one phase, printed in lines while it goes on; `windows` may be null.
class Times {
 public:
  Times(const Protocol& protocol, const char* phase, Windows* windows = nullptr) : protocol_(protocol), phase_(phase), windows_(windows) {
    values_.reserve(kValuesPerLine);
  }
  void add(int64_t ns, int64_t now) {
    values_.push_back(ns);
    ++count_;
    if (values_.size() == kValuesPerLine || now - sent_at_ > kSilenceNs) send(now);
    if (windows_) windows_->add(ns, now);
  }
  void flush(int64_t now) {
    send(now);
    if (windows_) windows_->flush(now);
  }
  int64_t count() const { return count_; }
  bool full() const { return count_ >= kMostIterations; }

 private:
  void send(int64_t now) {
    sent_at_ = now;
    if (values_.empty()) return;
    protocol_.send(protocol_.line("samples").add("phase", phase_).add("offset", count_ - static_cast<int64_t>(values_.size())).add("ns", values_));
    values_.clear();
  }

  const Protocol& protocol_;
  const char* phase_;
  Windows* windows_;
  std::vector<int64_t> values_;
  int64_t count_ = 0;
  int64_t sent_at_ = now_ns();
};

// A leg of the warm-up, on its way into `times`. It is steady when the medians of its halves are within a twentieth of each other, or when it is
// too short to tell.
class Leg {
 public:
  Leg(Times& times, int64_t length_ns) : times_(times), half_at_(now_ns() + length_ns / 2) {}
  void add(int64_t ns, int64_t now) {
    std::vector<int64_t>& half = now < half_at_ ? first_ : second_;
    if (half.size() < kValuesPerLine) half.push_back(ns);
    times_.add(ns, now);
  }
  void flush(int64_t now) { times_.flush(now); }
  int64_t count() const { return times_.count(); }
  bool full() const { return times_.full(); }
  bool steady() {
    if (std::min(first_.size(), second_.size()) < kFewestToTell) return true;
    const int64_t before = median(first_), after = median(second_);
    return std::abs(after - before) * 20 <= before;
  }

 private:
  static constexpr size_t kFewestToTell = 4;
  static int64_t median(std::vector<int64_t>& values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
  }

  Times& times_;
  int64_t half_at_;
  std::vector<int64_t> first_, second_;
};

}  // namespace edgekit

// What the runner can say about its own process: clocks and memory, from /proc. Linux only.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "protocol.hpp"

namespace edgekit {

inline int64_t clock_ns(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

inline int64_t now_ns() { return clock_ns(CLOCK_MONOTONIC); }

// A small file of /proc; empty when it is absent or not readable.
inline std::string read_proc(const char* path) {
  std::string text;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char chunk[4096];
  for (ssize_t n; (n = read(fd, chunk, sizeof chunk)) > 0;) text.append(chunk, static_cast<size_t>(n));
  close(fd);
  return text;
}

// `Name:   123 kB` at the start of a line of /proc/self/status or smaps_rollup, in bytes.
inline std::optional<int64_t> field_bytes(const std::string& text, const char* name) {
  const std::string label = std::string("\n") + name + ":";
  const size_t at = ("\n" + text).find(label);
  if (at == std::string::npos) return std::nullopt;
  return std::strtoll(text.c_str() + at + label.size() - 1, nullptr, 10) * 1024;
}

// From the start of the process to now, in the kernel's ticks (usually 10 ms).
inline std::optional<int64_t> since_process_start_ns() {
  const std::string stat = read_proc("/proc/self/stat");
  const size_t name_end = stat.rfind(')');  // the name before it may hold anything
  const long ticks_per_s = sysconf(_SC_CLK_TCK);
  if (name_end == std::string::npos || ticks_per_s <= 0) return std::nullopt;
  const char* at = stat.c_str() + name_end + 1;
  for (int field = 3; field < 22 && at; ++field) at = std::strchr(at + 1, ' ');  // 22: starttime, see proc(5)
  if (!at) return std::nullopt;
  const int64_t start_ns = std::strtoll(at, nullptr, 10) * (1'000'000'000 / ticks_per_s);
  return std::max<int64_t>(0, clock_ns(CLOCK_BOOTTIME) - start_ns);
}

// Makes VmHWM start again at the present size. Not every kernel and user may; then the peak counts from the start of the process.
inline void reset_peak_rss() {
  const int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t ignored = write(fd, "5", 1);
  (void)ignored;
  close(fd);
}

// The whole number a small file starts with, as those of /sys do.
inline std::optional<int64_t> read_number(const std::string& path) {
  const std::string text = read_proc(path.c_str());
  char* end = nullptr;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  return end == text.c_str() ? std::nullopt : std::optional<int64_t>(value);
}

// Binds this thread, and those it starts from now on, to some processors.
inline void bind_to(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) throw Failure(Exit::usage, std::string("--cpus: ") + std::strerror(errno));
}

inline std::vector<int64_t> allowed_cpus() {
  std::vector<int64_t> cpus;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(cpu);
  return cpus;
}

// Processor time of all processes in the kernel's ticks since boot, by kind: user nice system idle iowait irq softirq steal, see proc(5).
inline std::vector<int64_t> device_ticks() {
  std::vector<int64_t> ticks;
  const std::string stat = read_proc("/proc/stat");
  if (stat.rfind("cpu ", 0) != 0) return ticks;
  const char* at = stat.c_str() + 4;
  for (char* end = nullptr; ticks.size() < 8; at = end) {
    const int64_t value = std::strtoll(at, &end, 10);
    if (end == at) return {};
    ticks.push_back(value);
  }
  return ticks;
}

// What processors did since this was made: this process, and all of them.
class Usage {
 public:
  int64_t process_ns() const { return clock_ns(CLOCK_PROCESS_CPUTIME_ID) - process_ns_; }
  std::vector<int64_t> ticks() const {
    std::vector<int64_t> now = device_ticks();
    if (now.size() != ticks_.size()) return {};
    for (size_t i = 0; i < now.size(); ++i) now[i] -= ticks_[i];
    return now;
  }

 private:
  int64_t process_ns_ = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  std::vector<int64_t> ticks_ = device_ticks();
};

inline Object memory_line(const Protocol& protocol, const char* mark) {
  const std::string status = read_proc("/proc/self/status");
  return protocol.line("memory")
      .add("mark", mark)
      .add("rss_anon_bytes", field_bytes(status, "RssAnon").value_or(0))
      .add("rss_file_bytes", field_bytes(status, "RssFile").value_or(0))
      .add("rss_shmem_bytes", field_bytes(status, "RssShmem").value_or(0))
      .add("pss_bytes", field_bytes(read_proc("/proc/self/smaps_rollup"), "Pss"))
      .add("peak_rss_bytes", field_bytes(status, "VmHWM"));
}

}  // namespace edgekit

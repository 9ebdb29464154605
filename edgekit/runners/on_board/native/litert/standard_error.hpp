// What a library prints to standard error, heard while it is passed on: LiteRT's reasons stand there only, its calls return numbers.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "../core/options.hpp"

namespace edgekit {

class StandardError {
 public:
  StandardError() : original_(dup(STDERR_FILENO)), memory_(static_cast<int>(syscall(SYS_memfd_create, "stderr", 1u))) {
    if (original_ >= 0 && memory_ >= 0) dup2(memory_, STDERR_FILENO);
  }
  StandardError(const StandardError&) = delete;
  StandardError& operator=(const StandardError&) = delete;
  ~StandardError() {
    std::fflush(stderr);
    const std::string text = heard();
    if (original_ >= 0) dup2(original_, STDERR_FILENO);
    const ssize_t ignored = write(STDERR_FILENO, text.data(), text.size());
    (void)ignored;
    close(original_);
    close(memory_);
  }

  // The lines that begin with "ERROR", without that word and without the source file that follows it, each once.
  std::string errors() const {
    std::fflush(stderr);
    static const std::string label = "ERROR: ";
    std::string list;
    for (const std::string& line : parts(heard(), '\n')) {
      if (line.rfind(label, 0) != 0 || list.size() > kLongest) continue;
      const size_t source_end = line.find("] ", label.size());
      const bool has_source = line[label.size()] == '[' && source_end != std::string::npos;
      const std::string reason = line.substr(has_source ? source_end + 2 : label.size());
      if (list.find(reason) == std::string::npos) list += (list.empty() ? "" : "; ") + reason;
    }
    return list;
  }

 private:
  static constexpr size_t kLongest = 600;

  std::string heard() const {
    std::string text;
    char chunk[4096];
    for (ssize_t n; memory_ >= 0 && (n = pread(memory_, chunk, sizeof chunk, static_cast<off_t>(text.size()))) > 0;) text.append(chunk, static_cast<size_t>(n));
    return text;
  }

  int original_, memory_;
};

}  // namespace edgekit

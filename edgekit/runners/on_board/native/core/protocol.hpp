// Protocol 1: one JSON object a line on what was standard output when the program started. Owns escaping and the fields every line has.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "failure.hpp"

namespace edgekit {

inline std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {  // other bytes may be no UTF-8, and a message needs none
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

// A JSON object under construction; fields appear in the order they are added.
class Object {
 public:
  Object& add(const char* name, int64_t value) { return raw(name, std::to_string(value)); }
  Object& add(const char* name, const std::string& value) { return raw(name, quoted(value)); }
  Object& add(const char* name, const char* value) { return raw(name, quoted(value)); }
  Object& add(const char* name, const std::optional<int64_t>& value) { return raw(name, value ? std::to_string(*value) : "null"); }
  Object& add(const char* name, const std::vector<int64_t>& values) {
    std::string list;
    for (const int64_t value : values) list += (list.empty() ? "" : ",") + std::to_string(value);
    return raw(name, "[" + list + "]");
  }
  Object& add(const char* name, const std::vector<std::optional<int64_t>>& values) {
    std::string list;
    for (const auto& value : values) list += (list.empty() ? "" : ",") + (value ? std::to_string(*value) : "null");
    return raw(name, "[" + list + "]");
  }
  Object& add(const char* name, const std::vector<Object>& values) {
    std::string list;
    for (const Object& value : values) list += (list.empty() ? "" : ",") + value.text();
    return raw(name, "[" + list + "]");
  }
  Object& raw(const char* name, const std::string& json) {
    fields_ += (fields_.empty() ? "" : ",") + quoted(name) + ":" + json;
    return *this;
  }
  std::string text() const { return "{" + fields_ + "}"; }

 private:
  std::string fields_;
};

// The lines of one run. Standard output is kept for them alone: whatever a library prints goes to standard error.
class Protocol {
 public:
  explicit Protocol(std::string nonce) : nonce_(std::move(nonce)), stdout_(dup(STDOUT_FILENO)) {
    if (stdout_ < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) throw Failure(Exit::io, "standard output or error is closed");
  }
  Protocol(const Protocol&) = delete;
  Protocol& operator=(const Protocol&) = delete;
  ~Protocol() { close(stdout_); }

  Object line(const char* type) const { return Object().add("edgekit", 1).add("nonce", nonce_).add("type", type); }

  void send(const Object& object) const {
    const std::string text = object.text() + "\n";
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t n = write(stdout_, text.data() + sent, text.size() - sent);
      if (n < 0 && errno != EINTR) throw Failure(Exit::io, "cannot write to standard output");
      if (n > 0) sent += static_cast<size_t>(n);
    }
  }

 private:
  std::string nonce_;
  int stdout_;
};

}  // namespace edgekit

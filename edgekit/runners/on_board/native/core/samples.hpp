// The samples a model is fed with, one at a time, the states it carries from one to the next, and the file its outputs go to. Owns two files and
// one buffer.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "failure.hpp"
#include "options.hpp"
#include "tensors.hpp"

namespace edgekit {

class File {
 public:
  File(const std::string& path, int flags) : path_(path), fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    if (fd_ < 0) fail("cannot open");
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(fd_); }

  int64_t size() const {
    struct stat status;
    if (fstat(fd_, &status) != 0) fail("cannot read");
    return status.st_size;
  }
  void read_at(uint8_t* to, size_t bytes, int64_t offset) const {
    for (size_t got = 0; got < bytes;) {
      const ssize_t n = pread(fd_, to + got, bytes - got, offset + static_cast<int64_t>(got));
      if (n <= 0) fail("cannot read");
      got += static_cast<size_t>(n);
    }
  }
  void append(const uint8_t* from, size_t bytes) const {
    for (size_t sent = 0; sent < bytes;) {
      const ssize_t n = write(fd_, from + sent, bytes - sent);
      if (n <= 0) fail("cannot write");
      sent += static_cast<size_t>(n);
    }
  }
  [[noreturn]] void fail(const char* what) const { throw Failure(Exit::io, std::string(what) + " " + path_ + ": " + std::strerror(errno)); }

 private:
  std::string path_;
  int fd_;
};

// Hashed element numbers (SplitMix64): the same bytes in both runners, on every machine. Floats lie in [-1, 1); 32- and 64-bit integers are zero,
// for they may be indices.
inline void fill_pseudo_random(uint8_t* at, const Slot& slot, uint64_t* element) {
  const auto next = [element] {
    uint64_t z = ++*element * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  };
  const std::string dtype = slot.dtype;
  if (dtype == "float32") {
    for (size_t i = 0; i < slot.bytes; i += 4) {
      const float value = static_cast<float>(next() >> 40) / 8388608.0f - 1.0f;
      std::memcpy(at + i, &value, 4);
    }
  } else if (dtype == "int8" || dtype == "uint8" || dtype == "bool") {
    for (size_t i = 0; i < slot.bytes; ++i) at[i] = static_cast<uint8_t>(dtype == "bool" ? next() >> 63 : next() >> 56);
  } else {
    std::memset(at, 0, slot.bytes);
  }
}

// A window of one sample over the inputs file. It is read with pread, not mapped, so that the file's pages are no part of the memory figures; and
// before each inference, outside the timed region, as a camera or a microphone would fill a buffer.
template <typename Model>
class Samples {
 public:
  Samples(const Options& o, const Model& model) : count_(o.samples), steps_(o.steps), model_(model), buffer_(pages(model.sample_bytes())) {
    for (const State& state : o.states) carried_.push_back(carried(state, model));
    const std::string& path = o.inputs;
    if (!path.empty()) {
      file_ = std::make_unique<File>(path, O_RDONLY);
      const int64_t expected = count_ * static_cast<int64_t>(buffer_.size);
      const std::string held = std::to_string(file_->size()) + " bytes, ", wanted = std::to_string(count_) + " samples of this model are ";
      if (file_->size() != expected) throw Failure(Exit::io, path + ": holds " + held + wanted + std::to_string(expected));
      return;
    }
    uint64_t element = 0;
    uint8_t* at = buffer_.data;
    for (const Slot& slot : model.inputs()) {
      fill_pseudo_random(at, slot, &element);
      at += slot.bytes;
    }
  }

  // Samples are cycled through; the returned bytes are good until the next call. Within a series the states are what the model returned last.
  uint8_t* at(int64_t iteration) {
    const int64_t wanted = iteration % count_;
    if (file_ && wanted != held_) file_->read_at(buffer_.data, buffer_.size, wanted * static_cast<int64_t>(buffer_.size));
    held_ = wanted;
    if (wanted % steps_ != 0)
      for (const Carried& state : carried_)
        hand_over(model_.outputs()[state.output], model_.output(state.output).data, model_.inputs()[state.input], buffer_.data + state.offset);
    return buffer_.data;
  }

  int64_t count() const { return count_; }

 private:
  struct Carried {
    size_t output, input, offset;
  };

  static Carried carried(const State& state, const Model& model) {
    const std::string what = "--states: input " + std::to_string(state.input) + " and output " + std::to_string(state.output) + " ";
    if (state.input >= model.inputs().size() || state.output >= model.outputs().size()) throw Failure(Exit::load, what + "are not both there");
    const Slot &in = model.inputs()[state.input], &out = model.outputs()[state.output];
    if (in.shape != out.shape || !can_hand_over(out, in)) throw Failure(Exit::load, what + "are of different types or shapes");
    size_t offset = 0;
    for (size_t i = 0; i < state.input; ++i) offset += model.inputs()[i].bytes;
    return {state.output, state.input, offset};
  }

  int64_t count_, steps_;
  const Model& model_;
  std::vector<Carried> carried_;
  int64_t held_ = -1;
  Block buffer_;
  std::unique_ptr<File> file_;
};

}  // namespace edgekit

// The inputs and outputs of a model as blocks of bytes, whatever its runtime. Owns their types, and how a value goes from an output to an input.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "failure.hpp"

namespace edgekit {

using Shape = std::vector<int64_t>;

// What an integer stands for: (integer - zero_point) * scale.
struct Quantization {
  float scale;
  int64_t zero_point;
};

// An input or output: a dense, row-major block of bytes.
struct Slot {
  std::string name;
  const char* dtype;
  Shape shape;
  size_t bytes;
  std::optional<Quantization> quantization;
};

struct Bytes {
  const uint8_t* data;
  size_t size;
};

struct Block {
  uint8_t* data;
  size_t size;
};

// Zeroed pages, committed when they are touched, for as long as the process lives.
inline Block pages(size_t bytes) {
  void* at = mmap(nullptr, std::max<size_t>(bytes, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw Failure(Exit::load, "cannot allocate " + std::to_string(bytes) + " bytes for the model");
  return {static_cast<uint8_t*>(at), bytes};
}

inline bool same_values(const Slot& a, const Slot& b) {
  const bool both = a.quantization && b.quantization, none = !a.quantization && !b.quantization;
  const bool alike = none || (both && a.quantization->scale == b.quantization->scale && a.quantization->zero_point == b.quantization->zero_point);
  return std::strcmp(a.dtype, b.dtype) == 0 && alike;
}

// Calls `body` with a value of a slot's type, where edgekit can count with it; false where it cannot.
template <typename Body>
bool with_type(const Slot& slot, Body&& body) {
  const std::string dtype = slot.dtype;
  if (dtype == "float32") return body(float{}), true;
  if (dtype == "int8") return body(int8_t{}), true;
  if (dtype == "uint8") return body(uint8_t{}), true;
  if (dtype == "int16") return body(int16_t{}), true;
  if (dtype == "int32") return body(int32_t{}), true;
  return false;
}

// Whether `hand_over` can: as they are, or because one of them is in integers with a scale.
inline bool can_hand_over(const Slot& from, const Slot& to) {
  if (same_values(from, to)) return true;
  const auto nothing = [](auto) {};
  return (from.quantization || to.quantization) && with_type(from, nothing) && with_type(to, nothing);
}

// Values of an output into an input: as they are, or in the input's integers, saturated (in 32 bits, as on the build host).
inline void hand_over(const Slot& from, const uint8_t* values, const Slot& to, uint8_t* at) {
  if (same_values(from, to)) {
    std::memcpy(at, values, to.bytes);
    return;
  }
  with_type(from, [&](auto source) {
    with_type(to, [&](auto target) {
      for (size_t i = 0; i < from.bytes / sizeof source; ++i) {
        std::memcpy(&source, values + i * sizeof source, sizeof source);
        float value = static_cast<float>(source);
        if (from.quantization) value = (value - static_cast<float>(from.quantization->zero_point)) * from.quantization->scale;
        if (to.quantization) {
          using Limits = std::numeric_limits<decltype(target)>;
          value = std::nearbyint(value / to.quantization->scale) + static_cast<float>(to.quantization->zero_point);
          value = std::clamp(value, static_cast<float>(Limits::lowest()), static_cast<float>(Limits::max()));
        }
        target = static_cast<decltype(target)>(value);
        std::memcpy(at + i * sizeof target, &target, sizeof target);
      }
    });
  });
}

}  // namespace edgekit

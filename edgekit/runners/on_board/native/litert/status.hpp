// LiteRT's status numbers in words; the library exports no text for them.
#pragma once

#include <string>

#include "../core/failure.hpp"
#include "interface.hpp"

namespace edgekit {

inline std::string describe(LrtStatus status) {
  switch (status) {
    case 1:
      return "invalid argument";
    case 2:
      return "out of memory";
    case 3:
      return "runtime failure";
    case 5:
      return "unsupported";
    case 6:
      return "not found";
    case 501:
      return "not a whole .tflite file";
    case 504:
      return "it does not compile";
    default:
      return "LiteRT's status " + std::to_string(status);
  }
}

inline void check(LrtStatus status, Exit code, const char* what) {
  if (status != 0) throw Failure(code, std::string(what) + ": " + describe(status));
}

}  // namespace edgekit

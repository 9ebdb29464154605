// How the runner ends when something is wrong: an exit code and a message for people.
#pragma once

#include <stdexcept>
#include <string>

namespace edgekit {

enum class Exit : int { ok = 0, usage = 2, load = 3, execution = 4, io = 5 };

struct Failure : std::runtime_error {
  Failure(Exit exit_code, const std::string& message) : std::runtime_error(message), code(exit_code) {}
  Exit code;
};

}  // namespace edgekit

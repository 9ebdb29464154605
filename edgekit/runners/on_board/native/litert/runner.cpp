// edgekit's LiteRT runner: load a .tflite, warm up, iterate, print raw times, memory marks and facts as runner protocol 1. Built by
// edgekit/runners/litert_native.py against the shared library of the ai-edge-litert wheel.
#include <unistd.h>

#include <cstdio>

#include "../core/program.hpp"
#include "model.hpp"

int main(int argc, char** argv) {
  const int code = edgekit::start<edgekit::Model>(argc, argv);
  std::fflush(nullptr);
  _exit(code);  // nothing of the runtime is destroyed here: see model.hpp
}

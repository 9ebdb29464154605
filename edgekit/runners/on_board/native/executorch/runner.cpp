// edgekit's ExecuTorch runner: load a .pte, warm up, iterate, print raw times, memory marks and facts as runner protocol 1. Built by
// edgekit/runners/native.py against the headers and shared libraries of the executorch wheel.
#include <unistd.h>

#include <cstdio>

#include "../core/program.hpp"
#include "model.hpp"

int main(int argc, char** argv) {
  const int code = edgekit::start<edgekit::Model>(argc, argv);
  std::fflush(nullptr);
  _exit(code);  // nothing of the runtime is destroyed here: see model.hpp
}

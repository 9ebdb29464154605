// What each operator of an inference took, over many inferences. An engine says what ran; what it is called is the runtime's word.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace edgekit {

struct Operator {
  std::string name;
  int64_t instruction;  // its place in what runs; -1 when it has none
  int64_t delegate_id;  // a delegate's own number for it; -1 outside delegates
  bool delegated;
  std::vector<int64_t> ns;  // one time an inference
};

// Operators are matched by their order in an inference, which is the same each time.
class Operators {
 public:
  void begin_inference() { next_ = 0; }
  const std::vector<Operator>& all() const { return operators_; }
  void add_time(int64_t at, int64_t ns) { operators_[static_cast<size_t>(at)].ns.push_back(ns); }

  // The number of an operator, a new one where it did not run before.
  int64_t number(const char* name, int64_t instruction, int64_t delegate_id, bool delegated) {
    const std::string called = name ? name : "";
    for (size_t at = next_; at < operators_.size(); ++at) {
      if (operators_[at].name == called && operators_[at].instruction == instruction && operators_[at].delegated == delegated) {
        next_ = at + 1;
        return static_cast<int64_t>(at);
      }
    }
    operators_.push_back({called, instruction, delegated ? delegate_id : -1, delegated, {}});
    next_ = operators_.size();
    return static_cast<int64_t>(next_ - 1);
  }

 private:
  std::vector<Operator> operators_;
  size_t next_ = 0;
};

}  // namespace edgekit

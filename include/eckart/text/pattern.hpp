#pragma once

#include "eckart/core/error.hpp"

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace eckart {
inline namespace v0 {

namespace detail {

inline auto pcre2_message(int code) -> std::string {
  std::array<PCRE2_UCHAR8, 256> text{};
  pcre2_get_error_message_8(code, text.data(), text.size());
  return reinterpret_cast<char const*>(text.data());
}

struct pcre2_release {
  void operator()(pcre2_match_data_8* p) const { pcre2_match_data_free_8(p); }
  void operator()(pcre2_match_context_8* p) const { pcre2_match_context_free_8(p); }
};

}  // namespace detail

/// A compiled PCRE2 expression on UTF-8 that matches only where it is asked to, never further on.
/// Copies share the compiled code, which never changes: any number of threads may match with it,
/// each through its own matcher.
class pattern {
 public:
  /// Compiles, to machine code where the processor and the system allow (see `is_compiled`).
  /// Throws error with PCRE2's reason and the position in the expression.
  explicit pattern(std::string const& expression) {
    int code = 0;
    PCRE2_SIZE at = 0;
    // NEVER_BACKSLASH_C: an expression must not cut a character in half.
    auto* compiled =
        pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(expression.data()), expression.size(),
                        PCRE2_UTF | PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &code, &at, nullptr);
    if (compiled == nullptr) {
      throw error(
          message("pattern: ", detail::pcre2_message(code), " at byte ", at, " of ", expression));
    }
    code_ = std::shared_ptr<pcre2_code_8>(compiled, pcre2_code_free_8);
    compiled_ = pcre2_jit_compile_8(compiled, PCRE2_JIT_COMPLETE) == 0;
  }

  /// Whether matching runs machine code; if not, PCRE2's interpreter gives the same matches a
  /// few times slower (a system that forbids memory both writable and executable).
  auto is_compiled() const -> bool { return compiled_; }

  /// The memory that one thread needs to match.
  class matcher {
   public:
    explicit matcher(pattern const& owner)
        : code_(owner.code_),
          data_(pcre2_match_data_create_8(1, nullptr)),
          context_(pcre2_match_context_create_8(nullptr)) {
      if (!data_ || !context_) {
        throw error("pattern: PCRE2 has no memory for a match");
      }
      // The expressions of this library take time linear in the text: a limit would only make a
      // long text fail.
      pcre2_set_match_limit_8(context_.get(), UINT32_MAX);
      pcre2_set_depth_limit_8(context_.get(), UINT32_MAX);
    }

    /// Bytes of the match that begins at byte `from` of the text, 0 if there is none. The text must
    /// be valid UTF-8, which is not checked. Throws error if PCRE2 gives up.
    auto match_length(std::string_view text, std::size_t from) -> std::size_t {
      int const found =
          pcre2_match_8(code_.get(), reinterpret_cast<PCRE2_SPTR8>(text.data()), text.size(), from,
                        PCRE2_NO_UTF_CHECK, data_.get(), context_.get());
      if (found == PCRE2_ERROR_NOMATCH) {
        return 0;
      }
      if (found < 0) {
        throw error(message("pattern: ", detail::pcre2_message(found), " at byte ", from, " of ",
                            text.size()));
      }
      return pcre2_get_ovector_pointer_8(data_.get())[1] - from;
    }

   private:
    std::shared_ptr<pcre2_code_8 const> code_;
    std::unique_ptr<pcre2_match_data_8, detail::pcre2_release> data_;
    std::unique_ptr<pcre2_match_context_8, detail::pcre2_release> context_;
  };

 private:
  std::shared_ptr<pcre2_code_8> code_;
  bool compiled_ = false;
};

}  // namespace v0
}  // namespace eckart

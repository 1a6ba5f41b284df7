#pragma once

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>

/// Every error that eckart throws. Messages name the function, what was wrong and the values.
namespace eckart {
inline namespace v0 {

/// Base of all errors of eckart.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The caller's shapes, ranks or options do not fit together. Checked always, at O(1) cost.
struct shape_error : error {
  using error::error;
};

/// A computation met a non-finite number or did not converge.
struct numerical_error : error {
  int info;  ///< LAPACK's info, 0 if the error was found before LAPACK was called

  numerical_error(std::string const& what, int lapack_info) : error(what), info(lapack_info) {}
};

/// The content of a file is not what its format demands.
struct format_error : error {
  std::uint64_t offset;  ///< byte in the file where the fault was seen

  format_error(std::string const& what, std::uint64_t byte_offset)
      : error(what), offset(byte_offset) {}
};

/// A file cannot be opened, mapped, written or renamed.
struct io_error : error {
  int status;  ///< errno of the failed call

  io_error(std::string const& what, int system_errno) : error(what), status(system_errno) {}
};

/// A computing backend (BLAS library, device) refused or failed.
struct backend_error : error {
  int status;  ///< the backend's own status code

  backend_error(std::string const& what, int backend_status)
      : error(what), status(backend_status) {}
};

/// The parts written one after another: `message("rank ", 900, " exceeds ", 768)`.
template <class... Parts>
auto message(Parts const&... parts) -> std::string {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace v0
}  // namespace eckart

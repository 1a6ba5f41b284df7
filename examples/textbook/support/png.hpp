#pragma once

#include "eckart/core/error.hpp"
#include "eckart/core/view.hpp"
#include "eckart/io/file.hpp"

#include <png.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <ios>
#include <iterator>
#include <ostream>
#include <string>
#include <vector>

/// Pictures of the textbook programs.
namespace textbook {
namespace detail {

// 0 is black and 1 is white; what lies outside is clamped, NaN becomes black.
inline auto gray_level(double brightness) -> png_byte {
  auto const clamped = brightness > 0 ? std::min(brightness, 1.0) : 0.0;
  return static_cast<png_byte>(std::lround(255 * clamped));
}

// The bytes of a gray PNG file. Throws io_error that names `file`.
inline auto encode_png(std::filesystem::path const& file, eckart::matrix_view<double const> gray)
    -> std::vector<char> {
  auto image = png_image{};
  auto const refuse = [&](std::string const& reason) {
    png_image_free(&image);
    throw eckart::io_error(
        eckart::message(file.string(), ": cannot make a PNG of ", gray.shape(), ": ", reason),
        EINVAL);
  };
  constexpr eckart::index_t longest_side = 1'000'000;  // libpng's own limit
  if (std::min(gray.rows, gray.cols) < 1 || std::max(gray.rows, gray.cols) > longest_side) {
    refuse("a side is not in 1 to 1000000 pixels");
  }
  std::vector<png_byte> pixels;  // (rows, cols)
  pixels.reserve(static_cast<std::size_t>(gray.size()));
  for (eckart::index_t i = 0; i < gray.rows; ++i) {
    std::ranges::transform(gray.row(i), std::back_inserter(pixels), gray_level);
  }
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(gray.cols);
  image.height = static_cast<png_uint_32>(gray.rows);
  image.format = PNG_FORMAT_GRAY;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<char> bytes(size);
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr) == 0) {
    refuse(image.message);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace detail

/// Writes an 8-bit gray PNG, one pixel an element: 0 black, 1 white, clamped. The file appears
/// under its name only when it is complete. Throws io_error.
inline void write_png(std::filesystem::path const& file, eckart::matrix_view<double const> gray) {
  auto const bytes = detail::encode_png(file, gray);
  eckart::write_atomically(file, [&](std::ostream& out) {
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  });
}

}  // namespace textbook

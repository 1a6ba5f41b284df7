#include "eckart/io/file.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "io_fixture.hpp"

using namespace eckart;
using io_test::get;
using io_test::has;
using io_test::put;
using io_test::refusal;
using io_test::temporary_directory;

namespace {

auto text_of(mapped_file const& file) -> std::string {
  auto const bytes = file.bytes();
  return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

/// Lowers the largest file that the process may write, as a full disk would.
class file_size_limit {
 public:
  explicit file_size_limit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit const lowered{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &lowered);
  }
  file_size_limit(file_size_limit const&) = delete;
  auto operator=(file_size_limit const&) -> file_size_limit& = delete;
  ~file_size_limit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

/// Root may read everything: become somebody else for a while.
class ordinary_user {
 public:
  ordinary_user() : before_(::geteuid()) {
    if (before_ == 0 && ::seteuid(65534) != 0) {
      MESSAGE("cannot leave root");
    }
  }
  ordinary_user(ordinary_user const&) = delete;
  auto operator=(ordinary_user const&) -> ordinary_user& = delete;
  ~ordinary_user() {
    if (::seteuid(before_) != 0) {
      MESSAGE("cannot return to the user before");
    }
  }

 private:
  uid_t before_;
};

}  // namespace

TEST_CASE("a mapped file shows the bytes of the file") {
  temporary_directory const dir;
  std::string const content("a\0b\n\xff", 5);
  put(dir / "x", content);
  mapped_file const file(dir / "x");
  CHECK(text_of(file) == content);
  CHECK(file.path() == dir / "x");
}

TEST_CASE("an empty file maps to an empty span and reads as an empty text") {
  temporary_directory const dir;
  put(dir / "x", "");
  CHECK(mapped_file(dir / "x").bytes().empty());
  CHECK(read_text(dir / "x").empty());
}

TEST_CASE("a moved map keeps its bytes at their place") {
  static_assert(!std::is_copy_constructible_v<mapped_file>);
  static_assert(std::is_nothrow_move_constructible_v<mapped_file>);
  temporary_directory const dir;
  put(dir / "x", "first");
  put(dir / "y", "second");
  mapped_file x(dir / "x");
  auto const* const place = x.bytes().data();
  mapped_file moved(std::move(x));
  CHECK(moved.bytes().data() == place);
  moved = mapped_file(dir / "y");
  CHECK(text_of(moved) == "second");
}

TEST_CASE("what cannot be mapped is refused with its path and the reason") {
  temporary_directory const dir;
  auto const missing = dir / "missing";
  auto text = refusal<io_error>([&] { mapped_file file(missing); });
  CHECK(has(text, missing.string() + ": cannot open: No such file or directory"));
  text = refusal<io_error>([&] { mapped_file file(dir.path()); });
  CHECK(has(text, dir.path().string() + ": cannot map: Is a directory"));
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  text = refusal<io_error>([&] { mapped_file file(dir / "pipe"); });
  CHECK(has(text, "pipe: cannot map: not a regular file"));
  try {
    mapped_file const file(missing);
    FAIL("no exception");
  } catch (io_error const& fault) {
    CHECK(fault.status == ENOENT);
  }
}

TEST_CASE("an unreadable file is refused by the map and by read_text") {
  temporary_directory const dir;
  std::filesystem::permissions(dir.path(), std::filesystem::perms::all);
  put(dir / "secret", "x");
  std::filesystem::permissions(dir / "secret", std::filesystem::perms::none);
  ordinary_user const user;
  if (::geteuid() == 0) {
    MESSAGE("skipped: root reads every file");
    return;
  }
  auto const expected = (dir / "secret").string() + ": cannot open: Permission denied";
  CHECK(refusal<io_error>([&] { mapped_file file(dir / "secret"); }) == expected);
  CHECK(refusal<io_error>([&] { read_text(dir / "secret"); }) == expected);
}

TEST_CASE("read_text gives every byte of a file longer than its buffer") {
  temporary_directory const dir;
  std::string content;
  for (int i = 0; content.size() < 200'000; ++i) {
    content += std::to_string(i) + '\0';
  }
  put(dir / "x", content);
  CHECK(read_text(dir / "x") == content);
}

TEST_CASE("read_text refuses a directory and a missing file") {
  temporary_directory const dir;
  CHECK(has(refusal<io_error>([&] { read_text(dir.path()); }), ": cannot read: Is a directory"));
  CHECK(has(refusal<io_error>([&] { read_text(dir / "no"); }), "/no: cannot open: No such file"));
}

TEST_CASE("an atomic write replaces the content and leaves one file") {
  temporary_directory const dir;
  put(dir / "x", "old and longer");
  write_atomically(dir / "x", [&](std::ostream& out) {
    out << "new" << std::flush;
    CHECK(get(dir / "x") == "old and longer");
    CHECK(dir.count_files() == 2);
  });
  CHECK(get(dir / "x") == "new");
  CHECK(dir.count_files() == 1);
}

TEST_CASE("a written file has the permissions of any new file") {
  temporary_directory const dir;
  write_atomically(dir / "x", [](std::ostream& out) { out << 1; });
  put(dir / "y", "1");
  CHECK(std::filesystem::status(dir / "x").permissions() ==
        std::filesystem::status(dir / "y").permissions());
}

TEST_CASE("an exception while writing leaves the old file and nothing else") {
  temporary_directory const dir;
  put(dir / "x", "old");
  CHECK_THROWS_AS(write_atomically(dir / "x",
                                   [](std::ostream& out) {
                                     out << "half";
                                     throw std::invalid_argument("stop");
                                   }),
                  std::invalid_argument);
  CHECK(get(dir / "x") == "old");
  CHECK(dir.count_files() == 1);
}

TEST_CASE("a disk that takes no more gives an io_error and leaves nothing behind") {
  temporary_directory const dir;
  std::string const block(100'000, 'x');
  std::string text;
  int blocks = 0;
  {
    file_size_limit const limit(250'000);
    text = refusal<io_error>([&] {
      write_atomically(dir / "x", [&](std::ostream& out) {
        for (; blocks < 50; ++blocks) {
          out << block;
        }
      });
    });
  }
  CHECK(text == (dir / "x").string() + ": cannot write: File too large");
  CHECK(blocks < 5);  // the first failed write ends the work
  CHECK(dir.count_files() == 0);
}

TEST_CASE("a disk that is full only at the last flush gives an io_error too") {
  temporary_directory const dir;
  std::string text;
  {
    file_size_limit const limit(10);
    text = refusal<io_error>([&] {
      write_atomically(dir / "x", [](std::ostream& out) { out << std::string(100, 'x'); });
    });
  }
  CHECK(has(text, ": cannot write: File too large"));
  CHECK(dir.count_files() == 0);
}

TEST_CASE("the failure of another stream inside an atomic write stays what it is") {
  temporary_directory const dir;
  CHECK_THROWS_AS(write_atomically(dir / "x",
                                   [&](std::ostream&) {
                                     std::ifstream in(dir / "missing");
                                     in.exceptions(std::ios::failbit);
                                   }),
                  std::ios_base::failure);
  CHECK(dir.count_files() == 0);
}

TEST_CASE("a directory, a device and a missing directory are not written to") {
  temporary_directory const dir;
  auto const write = [](std::ostream& out) { out << 1; };
  CHECK(has(refusal<io_error>([&] { write_atomically(dir.path(), write); }),
            ": cannot write: Is a directory"));
  CHECK(refusal<io_error>([&] { write_atomically("/dev/null", write); }) ==
        "/dev/null: cannot write: not a regular file");
  auto const missing = dir / "no/x";
  CHECK(has(refusal<io_error>([&] { write_atomically(missing, write); }),
            missing.string() + ": cannot create a temporary file beside it: No such file"));
  CHECK(dir.count_files() == 0);
}

TEST_CASE("a write through a symbolic link replaces the file and keeps the link") {
  temporary_directory const dir;
  std::filesystem::create_directory(dir / "real");
  put(dir / "real/x", "old");
  std::filesystem::create_symlink("real/x", dir / "link");
  write_atomically(dir / "link", [](std::ostream& out) { out << "new"; });
  CHECK(std::filesystem::is_symlink(dir / "link"));
  CHECK(get(dir / "real/x") == "new");
}

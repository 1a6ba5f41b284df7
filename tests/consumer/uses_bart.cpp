#include "eckart/io/safetensors.hpp"
#include "eckart/version.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

// What eckart::bart adds can be included and linked: the JSON parser and PCRE2.
int main() {
  char version[64] = {};
  pcre2_config(PCRE2_CONFIG_VERSION, version);
  auto const answer = nlohmann::json::parse(R"({"ok": true})");
  std::printf("eckart %d.%d, PCRE2 %s\n", ECKART_VERSION_MAJOR, ECKART_VERSION_MINOR, version);
  return answer.at("ok").get<bool>() ? 0 : 1;
}

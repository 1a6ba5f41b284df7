// expect: JSON is read here: #include <eckart/io/json[.]hpp> [(]or <eckart/bart[.]hpp>[)]
#ifdef ECKART_CORRECTED
#include "eckart/io/json.hpp"
#endif
#include "eckart/models/bart/load.hpp"

auto load() -> eckart::bart<float> {
  return eckart::bart<float>::load("model");
}

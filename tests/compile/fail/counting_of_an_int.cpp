// expect: (is not a class|no type named 'memory'|cannot be used prior to|type 'int' cannot)
#include "eckart/backend/counting.hpp"

#include "eckart/backend/reference.hpp"

#ifdef ECKART_CORRECTED
using inner = eckart::reference;
#else
using inner = int;
#endif
eckart::counting<inner> backend;

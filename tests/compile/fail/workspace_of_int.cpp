// expect: (template constraint failure|constraints not satisfied for class template 'workspace')
#include "eckart/core/workspace.hpp"

#ifdef ECKART_CORRECTED
using element = double;
#else
using element = int;
#endif
eckart::workspace<element> scratch;

#pragma once

/// Version of eckart, read by CMake out of this file, so that it stands in one place.
#define ECKART_VERSION_MAJOR 0
#define ECKART_VERSION_MINOR 1
#define ECKART_VERSION_PATCH 0

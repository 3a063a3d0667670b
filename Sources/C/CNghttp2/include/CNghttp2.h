// nghttp2's public header, plus shims for what Swift cannot call by itself. Imported by HTTP only.
#ifndef CNGHTTP2_H
#define CNGHTTP2_H
#include <nghttp2/nghttp2.h>
#endif

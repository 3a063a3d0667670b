// zlib's public header. For streams that are compressed, and in tests a second opinion on libdeflate's results.
#ifndef CZLIB_H
#define CZLIB_H
#include <zlib.h>
#endif

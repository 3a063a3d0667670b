// zlib's public header. Imported by Compression's tests only, as a second opinion on libdeflate's results.
#ifndef CZLIB_H
#define CZLIB_H
#include <zlib.h>
#endif

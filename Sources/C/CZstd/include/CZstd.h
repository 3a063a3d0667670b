// zstd's public header. Imported by Compression only.
#ifndef CZSTD_H
#define CZSTD_H
#include <zstd.h>
#endif

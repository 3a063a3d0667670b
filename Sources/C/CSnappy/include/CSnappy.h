// snappy's public C header. Imported by Compression only.
#ifndef CSNAPPY_H
#define CSNAPPY_H
#include <snappy-c.h>
#endif

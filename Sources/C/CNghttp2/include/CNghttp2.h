// nghttp2's public header, plus what its sessions have their memory from. Imported by HTTP only.
#ifndef CNGHTTP2_H
#define CNGHTTP2_H
#include <nghttp2/nghttp2.h>
#include "session_arena.h"
#endif

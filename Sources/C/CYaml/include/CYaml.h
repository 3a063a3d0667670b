// libyaml's public header. Imported by Configuration only.
#ifndef CYAML_H
#define CYAML_H
#include <yaml.h>
#endif

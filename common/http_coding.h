/*
 * http_coding: how many layers of compression a response's head names, line by line.
 *
 * An HTTP library decodes what a server names, layer under layer, and each layer may blow its input
 * up a thousandfold. Whoever counts them first can refuse more than one. Chunks and "identity" are
 * no layers; gzip, x-gzip and deflate are; anything else is not known here.
 */
#ifndef COMMON_HTTP_CODING_H
#define COMMON_HTTP_CODING_H

#include <stdbool.h>
#include <stddef.h>

/* Adds the layers of one header line, its end included or not, to *layers; other headers add none.
 * False: it names an unknown coding, or goes on from the line before, which may be read in
 * two ways. */
bool http_coding_count(const char *line, size_t size, unsigned *layers);

#endif

/*
 * version: what `terra-connect --version` says: the program, how it was built, and which libraries
 * it runs on, asked of the libraries themselves.
 */
#ifndef WORKER_VERSION_H
#define WORKER_VERSION_H

#include <stdio.h>

void version_print(FILE *stream);

#endif

/* memory */
extern int memory_placeholder;

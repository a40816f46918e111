/* backoff */
extern int backoff_placeholder;

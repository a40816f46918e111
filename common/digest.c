/* digest */
extern int digest_placeholder;

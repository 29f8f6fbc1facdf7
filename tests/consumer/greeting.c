/* A library that no machine has. */
const char *greeting(void) { return "hello"; }

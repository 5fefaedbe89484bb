// Where a generated program starts. Alone in its file, so that programs with a main() of their own can link
// the rest.
#include "runtime/commands/command.h"

int main(int argc, char** argv) { return heed::Main(heed_program, argc, argv); }

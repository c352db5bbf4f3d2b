// Package upkeep keeps the memory and its disk fit while everything else runs:
// once a day it has the memory forget what is old, and every minute it looks at
// the space that is left.
//
// A full disk is the one trouble that the memory cannot tell anybody about,
// since to tell is to write. So there are two steps: a message while there is
// plenty left, and a page when there is next to nothing, for which a reserve
// gives up its place. The intake answers 503 meanwhile, and senders repeat.
package upkeep

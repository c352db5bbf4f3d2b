// Package demo shows the whole of Watchkeeper with nothing configured: the real
// intake, the real memory and pump, the responder in place of a session, and
// sample clusters to look at. It sends itself alerts over HTTP, as real senders
// write them, and tells what becomes of each.
//
// Only the past and the clusters are made up. What is printed is what the parts
// did; the package decides nothing.
package demo

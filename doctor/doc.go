// Package doctor examines what Watchkeeper needs of the machine it is on and of
// the services around it, and says what to do about each thing that is wrong.
//
// An examination changes nothing and stores nothing. What it sends outside is
// what the service itself would: a question with the operator's own key. Slack
// and the clusters are examined by the packages that talk to them.
package doctor

// Package fileurl serves addresses under which one file of a session can be downloaded or uploaded by
// plain HTTP, without a key: what browsers, curl and object stores' clients can do.
//
// An address holds all that is needed to serve it, sealed, so that nothing is kept of it and every gateway
// with the same pepper can serve it: which file, what for, until when, and a token of whoever made it that
// is good for no more than that. What a request does it does by calls of the API's with that token, so that
// an address ends with its maker's key, and its maker's quotas, audit log and limits hold.
package fileurl

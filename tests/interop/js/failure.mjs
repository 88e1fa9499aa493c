// What a request failed with: an ERROR of the router carries a URI, everything else only a text.

export class Failure extends Error {
  constructor(uri, args, kwargs, message) {
    super(message ?? uri);
    this.uri = uri;
    this.args = args ?? [];
    this.kwargs = kwargs ?? {};
  }
}

export const FAILURE_URI = "com.example.failure";
export const UNAVAILABLE_URI = "wamp.error.unavailable";

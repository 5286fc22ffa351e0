import type { Place } from '../place.js';

/** A program against the sources of libraries that Debian has. */
export async function go(
  place: Place,
  imports: readonly string[],
  declarations: string,
  body: string,
): Promise<string> {
  await place.write(
    'main.go',
    `package main

import (
${imports.map((name) => `\t${name}`).join('\n')}
)

${declarations}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
${body}
}
`,
  );
  // What is compiled of the libraries serves the other clients too.
  return place.sh(`export GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$HOME/../../go-cache" GOFLAGS=-buildvcs=false
    go run main.go`);
}

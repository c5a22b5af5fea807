/* Tells systemd how the service is (Type=notify): one datagram to the socket in NOTIFY_SOCKET.
 * Thirty lines instead of a library. Source: sd_notify(3); a name that begins with '@' is in the
 * abstract namespace. */
#include "server/service_int.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void server_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct str name = str_from_c(path);
    if (name.n < 2 || name.n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    memcpy(to.sun_path, path, name.n);
    if (to.sun_path[0] == '@') {
        to.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.n);
    const void *address = &to;
    /* Nobody listening is not our failure: the service runs all the same. */
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, address, n);
    (void)close(fd);
}

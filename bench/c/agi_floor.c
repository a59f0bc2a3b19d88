/* The floor: a FastAGI server on one epoll that decides nothing.
 *
 *     agi_floor PORT
 *
 * One thread, level-triggered, four system calls for each exchange besides accept4, epoll_ctl and
 * the waiting: read the environment, write one command when its blank line is there, read the
 * reply, close. No socket options that hurry it, nothing parsed, nothing kept: what remains is
 * what the kernel asks of any server.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, BATCH = 256, ENVIRONMENT = 8192 };

static const char COMMAND[] = "SET VARIABLE VERDICT \"allow\"\n";

/* By descriptor: how much of the environment is there, or -1 once the command is written. */
static int filled[MOST];
static char *environment[MOST];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int listening(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096))
		die("agi_floor");
	return fd;
}

static void accept_all(int epoll, int listener)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		if (fd >= MOST || (!environment[fd] && !(environment[fd] = malloc(ENVIRONMENT)))) {
			close(fd);
			continue;
		}
		filled[fd] = 0;
		event.data.fd = fd;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			die("epoll_ctl");
	}
}

static void serve(int fd)
{
	char reply[512];
	ssize_t got;

	if (filled[fd] < 0) {
		got = read(fd, reply, sizeof reply);
		if (got >= 0 || errno != EAGAIN)
			close(fd);
		return;
	}
	got = read(fd, environment[fd] + filled[fd], ENVIRONMENT - filled[fd]);
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			close(fd);
		return;
	}
	filled[fd] += got;
	if (memmem(environment[fd], filled[fd], "\n\n", 2)) {
		filled[fd] = -1;
		if (write(fd, COMMAND, sizeof COMMAND - 1) < 0)
			close(fd);
	}
}

int main(int count, char **arguments)
{
	struct epoll_event event = {.events = EPOLLIN}, events[BATCH];
	struct rlimit files;
	int epoll = epoll_create1(0), listener, ready;

	if (count != 2) {
		fprintf(stderr, "usage: agi_floor PORT\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max < MOST ? files.rlim_max : MOST;
	setrlimit(RLIMIT_NOFILE, &files);
	event.data.fd = listener = listening(atoi(arguments[1]));
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	while ((ready = epoll_wait(epoll, events, BATCH, -1)) >= 0 || errno == EINTR)
		for (int each = 0; each < ready; each++)
			if (events[each].data.fd == listener)
				accept_all(epoll, listener);
			else
				serve(events[each].data.fd);
	die("epoll_wait");
}

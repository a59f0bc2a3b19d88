/* A digit trie in C, of the kind that a PBX module keeps in its own process (Kamailio's mtree has
 * such nodes): ten children a node, one value for a number that ends there and one for a prefix.
 * Reads a list as Callgate does (+digits, a prefix with * behind) and callers (digits, a letter),
 * and prints as JSON what a look-up costs that finds every matching entry, longest first.
 *
 *   trie LIST CALLERS ROUNDS
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MOST_DIGITS 15
#define MOST_NODES ((size_t)1 << 30) /* of address space, not of memory */

struct node {
    uint32_t child[10];
    uint32_t number, prefix;
};

struct caller {
    char digits[MOST_DIGITS + 1];
    char letter;
};

static struct node *nodes;
static uint32_t used = 1; /* node 0 is the root, which is nobody's child */

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void insert(const char *digits, uint32_t row) {
    uint32_t at = 0;
    for (; *digits >= '0' && *digits <= '9'; digits++) {
        uint32_t *next = &nodes[at].child[*digits - '0'];
        if (!*next)
            *next = used++;
        at = *next;
    }
    if (*digits == '*')
        nodes[at].prefix = row;
    else
        nodes[at].number = row;
}

/* The rows of all that covers the digits, longest first; how many they are. */
static int matches(const char *digits, uint32_t rows[MOST_DIGITS + 1]) {
    uint32_t found[MOST_DIGITS], at = 0;
    int count = 0, kept = 0;
    for (; *digits; digits++) {
        at = nodes[at].child[*digits - '0'];
        if (!at)
            break;
        if (nodes[at].prefix)
            found[count++] = nodes[at].prefix;
    }
    if (!*digits && nodes[at].number)
        rows[kept++] = nodes[at].number;
    while (count)
        rows[kept++] = found[--count];
    return kept;
}

static uint32_t load(const char *path) {
    char line[64];
    uint32_t row = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        perror(path), exit(1);
    while (fgets(line, sizeof line, file))
        insert(line + 1, ++row);
    fclose(file);
    return row;
}

static size_t read_callers(const char *path, struct caller **callers) {
    size_t count = 0, room = 1 << 20;
    FILE *file = fopen(path, "r");
    if (!file || !(*callers = calloc(room, sizeof **callers)))
        perror(path), exit(1);
    while (count < room &&
           fscanf(file, "%15s %c", (*callers)[count].digits, &(*callers)[count].letter) == 2)
        count++;
    fclose(file);
    return count;
}

/* Nanoseconds a look-up, of the callers whose verdict begins with a letter. */
static double cost(const struct caller *callers, size_t count, char letter, size_t *sum) {
    uint32_t rows[MOST_DIGITS + 1];
    size_t asked = 0;
    double began = now();
    for (size_t i = 0; i < count; i++)
        if (callers[i].letter == letter) {
            int found = matches(callers[i].digits, rows);
            if ((found > 0) != (letter == 'b'))
                fprintf(stderr, "%s is not found right\n", callers[i].digits), exit(1);
            *sum += (size_t)found;
            asked++;
        }
    return asked ? (now() - began) / (double)asked * 1e9 : 0;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return fprintf(stderr, "trie LIST CALLERS ROUNDS\n"), 2;
    nodes = mmap(NULL, MOST_NODES * sizeof *nodes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (nodes == MAP_FAILED)
        return perror("mmap"), 1;
    double began = now();
    uint32_t rows = load(argv[1]);
    double built = now() - began;
    struct caller *callers;
    size_t count = read_callers(argv[2], &callers), sum = 0;
    printf("{\"build\": %.3f, \"bytes\": %.1f", built, (double)used * sizeof *nodes / rows);
    for (const char *letter = "ba"; *letter; letter++) {
        printf(", \"%s\": [", *letter == 'b' ? "hit" : "miss");
        for (int round = 0, rounds = atoi(argv[3]); round <= rounds; round++) {
            double found = cost(callers, count, *letter, &sum);
            if (round) /* the first one warms up */
                printf("%s%.2f", round > 1 ? ", " : "", found / 1e3);
        }
        printf("]");
    }
    printf("}\n");
    return sum == 0;
}

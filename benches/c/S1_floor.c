/* Floor of one circuit cell: plain scalar C. gcc -O2 -DMAIN S1_floor.c -o S1_floor -lm
   argv: variant(const|table) repeats profile n; the profile holds n + 1 currents in A, one a line.
   Prints the least and the median time of a step in ns over the repeats, then the last voltage and temperature. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <time.h>
static const double OCV[21]={2.900,3.285,3.392,3.450,3.495,3.530,3.557,3.580,3.603,3.628,3.660,3.700,3.745,3.792,3.840,3.890,3.940,3.992,4.048,4.108,4.180};
typedef struct {double Q,R0,R1,C1,R2,C2,mcp,hA,T0,soc0;} P;
static const P par={5,0.020,0.010,2000,0.015,20000,70,0.10,298.15,0.95};
static inline double ocv(double s){ double x=s*20; if(x<0)x=0; if(x>19.999999)x=19.999999; int k=(int)x; double f=x-k; return OCV[k]+f*(OCV[k+1]-OCV[k]); }
/* constant R,C: exact FOH for both RCs, trapezoid SOC (exact), exact-exponential ZOH heat for the lumped thermal mass */
__attribute__((noinline)) void s1_const(int n,const double*i,double*V,double*S,double*T){
  P p=par; double a1=exp(-1/(p.R1*p.C1)),a2=exp(-1/(p.R2*p.C2)),t1=p.R1*p.C1,t2=p.R2*p.C2;
  double b01=t1*(1-a1),b11=t1*(1-b01),b02=t2*(1-a2),b12=t2*(1-b02);
  double c01=(b01-b11)/p.C1,c11=b11/p.C1,c02=(b02-b12)/p.C2,c12=b12/p.C2;
  double aT=exp(-p.hA/p.mcp),gT=(1-aT)/p.hA,h=0.5/(3600*p.Q);
  double s=p.soc0,v1=0,v2=0,th=0,q; V[0]=ocv(s)-p.R0*i[0];S[0]=s;T[0]=p.T0;
  q=i[0]*i[0]*p.R0;
  for(int k=1;k<=n;k++){ double i0=i[k-1],i1=i[k];
    s-=h*(i0+i1); v1=a1*v1+c01*i0+c11*i1; v2=a2*v2+c02*i0+c12*i1;
    double q1=i1*i1*p.R0+v1*v1/p.R1+v2*v2/p.R2; th=aT*th+gT*0.5*(q+q1); q=q1;
    V[k]=ocv(s)-v1-v2-p.R0*i1; S[k]=s; T[k]=p.T0+th; } }
/* realistic: R0,R1,C1,R2,C2 from 21 x 5 tables of (SOC,T), two exp per step */
static double TB[5][5][21]; static int init=0;
static void mk(void){ P p=par; double b[5]={p.R0,p.R1,p.C1,p.R2,p.C2}; for(int q=0;q<5;q++)for(int t=0;t<5;t++)for(int s=0;s<21;s++){
   double z=s/20.0,T=263.15+t*15, ar=exp(2500*(1/T-1/298.15)); double f=1+0.8*(z-0.5)*(z-0.5); TB[q][t][s]= (q==2||q==4)? b[q]/ (0.5+0.5*f) : b[q]*f*ar; } init=1; }
__attribute__((noinline)) void s1_table(int n,const double*i,double*V,double*S,double*T){
  if(!init)mk(); P p=par; double aT=exp(-p.hA/p.mcp),gT=(1-aT)/p.hA,h=0.5/(3600*p.Q);
  double s=p.soc0,v1=0,v2=0,th=0; V[0]=ocv(s)-p.R0*i[0];S[0]=s;T[0]=p.T0;
  for(int k=1;k<=n;k++){ double i0=i[k-1],i1=i[k],e[5];
    double x=s*20; if(x<0)x=0; if(x>19.999999)x=19.999999; int a=(int)x; double f=x-a;
    double y=(p.T0+th-263.15)*(1/15.0); if(y<0)y=0; if(y>3.999999)y=3.999999; int b=(int)y; double g=y-b;
    for(int q=0;q<5;q++){ double l=TB[q][b][a]+f*(TB[q][b][a+1]-TB[q][b][a]),u=TB[q][b+1][a]+f*(TB[q][b+1][a+1]-TB[q][b+1][a]); e[q]=l+g*(u-l);}
    double t1=e[1]*e[2],t2=e[3]*e[4],a1=exp(-1/t1),a2=exp(-1/t2),m=0.5*(i0+i1);
    s-=h*(i0+i1); v1=a1*v1+e[1]*(1-a1)*m; v2=a2*v2+e[3]*(1-a2)*m;
    double q1=i1*i1*e[0]+v1*v1/e[1]+v2*v2/e[3]; th=aT*th+gT*q1;
    V[k]=ocv(s)-v1-v2-e[0]*i1; S[k]=s; T[k]=p.T0+th; } }
static int cmp(const void*a,const void*b){double x=*(double*)a-*(double*)b;return (x>0)-(x<0);}
int main(int c,char**v){ if(c<5) return 2; int n=atoi(v[4]),reps=atoi(v[2]);
  double*i=malloc(8*(n+1)),*V=malloc(8*(n+1)),*S=malloc(8*(n+1)),*T=malloc(8*(n+1)),*d=malloc(8*(reps+1));
  FILE*f=fopen(v[3],"r"); if(!f) return 1; for(int k=0;k<=n;k++) if(fscanf(f,"%lf",i+k)!=1) return 1; fclose(f);
  void(*g)(int,const double*,double*,double*,double*)=!strcmp(v[1],"table")?s1_table:s1_const;
  g(n,i,V,S,T);
  for(int r=0;r<reps;r++){struct timespec a,b; clock_gettime(CLOCK_THREAD_CPUTIME_ID,&a); g(n,i,V,S,T); clock_gettime(CLOCK_THREAD_CPUTIME_ID,&b); d[r]=(b.tv_sec-a.tv_sec)+1e-9*(b.tv_nsec-a.tv_nsec);}
  qsort(d,reps,8,cmp);
  printf("%.5f %.5f %.9f %.6f\n",d[0]*1e9/n,d[reps/2]*1e9/n,V[n],T[n]); return 0; }
